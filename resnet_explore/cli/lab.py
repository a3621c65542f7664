"""`resnet-explore lab`: put the notebooks where a person can change them, and open JupyterLab there."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from resnet_explore import __version__, paths
from resnet_explore.errors import ExploreError

MANIFEST = ".resnet_explore.json"

# What we ask of JupyterLab, with the short forms under which a person may ask for something else: Jupyter
# refuses an option that comes twice. The last three keep a classroom without a network free of pop-ups; the
# settings folder holds defaults (overrides.json), below whatever a person has set and without touching it.
_OPTIONS = {
    "--ServerApp.ip": ("127.0.0.1", ("--ip",)),
    "--ServerApp.port": ("8888", ("--port",)),
    "--ServerApp.root_dir": (".", ("--notebook-dir",)),
    "--LabApp.default_url": ("/lab/tree/notebooks/00_start.ipynb", ()),
    "--LabApp.app_settings_dir": (str(paths.PACKAGE / "jupyter"), ()),
    "--LabApp.news_url": ("None", ()),
    "--LabApp.check_for_updates_class": ("jupyterlab.NeverCheckForUpdate", ()),
}

# The same for a lecture hall: an extension of ours that shows notebooks large, without code and with nothing
# around them. It is named here and installed nowhere, so that the next start is as ever.
_PRESENT = paths.PACKAGE / "jupyter" / "present"
_PRESENT_OPTIONS = {
    "--LabApp.default_url": "/doc/tree/notebooks/00_start.ipynb",
    "--LabApp.app_settings_dir": str(_PRESENT),
    "--LabApp.extra_labextensions_path": str(_PRESENT / "labextensions"),
}

# For the kernels, which inherit it. By default glibc gives each thread a heap of its own, and what one thread
# has freed no other can use: 40 MB of an open notebook. Our threads take turns, so none waits for another.
ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}


@dataclass(frozen=True)
class Copied:
    """What `copy_notebooks` did: the files it wrote, and the files it kept because a person changed them."""

    folder: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]


def prepare(folder: Path) -> Copied | None:
    """Make the notebooks available under `folder`: None where they lie already, in our own source tree."""
    if paths.CHECKOUT is not None and folder.resolve() == paths.CHECKOUT:
        return None
    return copy_notebooks(folder)


def copy_notebooks(folder: Path) -> Copied:
    """Copy the notebooks to `folder`/notebooks, never over a file that a person changed.

    A hidden manifest beside them holds the SHA-256 of every file as we wrote it. A file that still has that
    sum is ours and is brought up to date; any other is kept as it is. Raises ExploreError if the folder
    can't be written.
    """
    source, target = paths.shipped("notebooks"), folder / "notebooks"
    written, kept = [], []
    try:
        target.mkdir(parents=True, exist_ok=True)
        ours = _read_manifest(target / MANIFEST)
        for name in _files(source):
            new = (source / name).read_bytes()
            there = target / name
            found = _sum(there.read_bytes()) if there.exists() else None
            if found not in (None, _sum(new), ours.get(name)):
                kept.append(name)
                continue
            if found != _sum(new):
                _write(there, new)
                written.append(name)
            ours[name] = _sum(new)
        manifest = json.dumps({"version": __version__, "sha256": ours}, indent=1, sort_keys=True)
        _write(target / MANIFEST, manifest.encode())
    except OSError as error:
        raise ExploreError(
            f"The notebooks can't be copied to {target} ({error.strerror or error}); "
            "name a folder that you can write to with --dir."
        ) from None
    return Copied(target, tuple(written), tuple(kept))


def jupyter_arguments(
    folder: Path, port: int, extra: Iterable[str], root: bool = False, workspaces: Path | None = None
) -> list[str]:
    """Return JupyterLab's command-line arguments; what `extra` already sets is left to it.

    The token and the search for a free port stay as Jupyter has them. `root` adds --allow-root, without
    which Jupyter refuses to run as the superuser (in a container, say). `workspaces` is where a presentation
    keeps which notebook is open, apart from a person's own; None is no presentation.
    """
    extra = list(extra)
    given = {argument.partition("=")[0] for argument in extra}
    ours = {"--ServerApp.port": str(port), "--ServerApp.root_dir": str(folder.resolve())}
    if workspaces is not None:
        ours |= {**_PRESENT_OPTIONS, "--LabApp.workspaces_dir": str(workspaces)}
    values = {option: value for option, (value, _) in _OPTIONS.items()} | ours
    arguments = [
        f"{option}={value}"
        for option, value in values.items()
        if given.isdisjoint((option, *_OPTIONS.get(option, ("", ()))[1]))
    ]
    if root and "--allow-root" not in given:
        arguments.append("--allow-root")
    return arguments + extra


def run_jupyter(folder: Path, port: int, extra: Iterable[str], present: bool = False) -> None:
    """Serve `folder` in JupyterLab until it is stopped, with `present` for a lecture hall."""
    from jupyterlab.labapp import LabApp

    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)  # whoever has set it has the say
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with tempfile.TemporaryDirectory(prefix="resnet-explore-") as aside:
        workspaces = Path(aside) if present else None
        LabApp.launch_instance(jupyter_arguments(folder, port, extra, root, workspaces))


def _files(source: Path) -> list[str]:
    found = (path.relative_to(source) for path in source.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))


def _read_manifest(path: Path) -> dict[str, str]:
    # A manifest that can't be understood is as good as none: then every file that differs is kept.
    try:
        sums = json.loads(path.read_text())["sha256"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
    return sums if isinstance(sums, dict) else {}


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    # Renamed into place, so that an interruption leaves the old file or the new one, never half of one.
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    draft.write_bytes(content)
    draft.replace(path)
