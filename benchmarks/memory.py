"""How much memory does an open notebook take, beside what `import torch` alone takes?

    python -m benchmarks.memory [--cells] [--kernel]

Each explorer is opened as its notebook does, in a process of its own with the environment that
`resnet-explore lab` gives its kernels, and measured when its first view is finished. Printed in MB: what is
resident then, what was at most, and of the former the process's own, as shared libraries count once for all
open notebooks; and resident as a multiple of `import torch`.

With --cells a notebook's other cells run too; with --kernel all runs in an IPython kernel, as in Jupyter.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from resnet_explore.cli.lab import ENVIRONMENT

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
# How one waits until all is there that a page asks for when it is first shown.
FIRST_VIEWS = {
    "00_start": "rx.DegradationExplorer()",
    "01_degradation": "rx.DegradationExplorer()",
    "02_gradient_flow": "rx.GradientFlowExplorer().wait()",
    "03_saliency": "rx.SaliencyExplorer().wait()",
    "04_architectures": "rx.ArchitectureExplorer()",
    "05_feature_maps": "rx.FeatureMapExplorer().wait()",
    "06_skips": "rx.SkipExplorer().wait()",
    "07_stream": "rx.StreamExplorer().wait()",
    "08_landscape": "rx.LandscapeExplorer().wait()",
    "10_similarity": "rx.SimilarityExplorer().wait()",
}
_SAY = "\nprint('MEASURED', *measured(), flush=True)"
MB = 1e6


class Watched:
    """Looks at this process while it works: `measured()` gives resident, peak and own bytes."""

    def __init__(self) -> None:
        self._process, self._peak = psutil.Process(), 0
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while True:
            self._peak = max(self._peak, self._process.memory_info().rss)
            time.sleep(0.02)

    def __call__(self) -> tuple[int, int, int]:
        found = self._process.memory_full_info()
        return found.rss, max(self._peak, found.rss), found.uss


def measure(code: str, kernel: bool = False) -> tuple[float, float, float]:
    """Return MB that are resident, were at most, and are the process's own, after `code` in a fresh one."""
    code = f"from benchmarks.memory import Watched\nmeasured = Watched()\n{code}{_SAY}"
    if kernel:
        return _in_kernel(code)
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    return _read(out.stdout)


def _in_kernel(code: str) -> tuple[float, float, float]:
    from jupyter_client.manager import start_new_kernel

    said: list[str] = []

    def listen(message: dict[str, Any]) -> None:
        if message["msg_type"] == "error":
            raise RuntimeError("\n".join(message["content"]["traceback"]))
        said.append(message["content"].get("text", ""))

    manager, client = start_new_kernel(extra_arguments=["--IPKernelApp.log_level=ERROR"])
    try:
        client.execute_interactive(code, timeout=600, output_hook=listen)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return _read("".join(said))


def _read(text: str) -> tuple[float, float, float]:
    line = next(line for line in text.splitlines() if line.startswith("MEASURED"))
    resident, peak, own = (int(number) / MB for number in line.split()[1:])
    return resident, peak, own


def cells(name: str) -> str:
    """Return all code of a notebook, as it stands."""
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())
    return "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", action="store_true", help="run a notebook's other cells too")
    parser.add_argument("--kernel", action="store_true", help="in an IPython kernel")
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    torch = measure("import torch", options.kernel)
    print(f"{'':20}{'resident':>10}{'peak':>8}{'own':>8}{'x import torch':>16}")
    for name, code in {"import torch": "import torch", **FIRST_VIEWS}.items():
        code = f"import resnet_explore as rx\n{code}"
        if options.cells and name in FIRST_VIEWS:
            code += f"\n{cells(name)}"
        found = torch if name == "import torch" else measure(code, options.kernel)
        print(
            f"{name:20}{found[0]:10.0f}{found[1]:8.0f}{found[2]:8.0f}{found[0] / torch[0]:16.2f}", flush=True
        )


if __name__ == "__main__":
    main()
