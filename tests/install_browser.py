"""Find or install the Chromium that the browser tests drive: `python tests/install_browser.py`.

Tests call `find()` for its path. In this order: the one on PATH; one that Playwright has downloaded before;
Debian's package, where we may install packages; Playwright's download. Of those on PATH the one that has no
windows comes first: it is the same browser and takes a tenth less of a processor.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Return the path of a Chromium that starts, from PATH or Playwright's downloads, or None."""
    on_path = (shutil.which(name) for name in NAMES)
    return next((path for path in (*on_path, _playwrights()) if path and version(path)), None)


def version(path: str) -> str:
    """Return what the browser calls itself, or "" if it doesn't start, as Ubuntu's command may not."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _playwrights() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> str:
    """Try each way of installing one; return "" or why the last one failed."""
    failure = ""
    if shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        get = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "fonts-liberation"]
        failure = _run(["apt-get", "update", "-qq"], environment)
        for package in () if failure else ("chromium-headless-shell", "chromium"):
            failure = _run([*get, package], environment)
            if find():
                return ""
    return _run([sys.executable, "-m", "playwright", "install", "chromium"]) or failure


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return f"{' '.join(command[:3])}: {lines[-1] if lines else 'failed'}" if done.returncode else ""


def main() -> int:
    """Print one line of what was done; fail only in continuous integration, where nothing may be skipped."""
    if path := find():
        print(f"Browser tests use {version(path)} ({path}).")
        return 0
    print("Installing Chromium for the browser tests ...", flush=True)
    failure = install() or "it does not start"
    if path := find():
        print(f"Installed {version(path)} for the browser tests ({path}).")
        return 0
    required = os.environ.get("CI", "") not in ("", "0", "false")
    outcome = "can't run" if required else "will be skipped"
    print(f"There is no Chromium here, so the browser tests {outcome} ({failure}).", file=sys.stderr)
    return int(required)


if __name__ == "__main__":
    sys.exit(main())
