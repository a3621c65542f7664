"""Which tests `make check` leaves out as slow; `python -m tests.slow` measures all and lists them anew.

A test function is slow if one of its cases takes longer than LIMIT, set-up included, on a quiet machine that
runs two tests at a time. Those that need a browser or train are left out anyway and not listed.
"""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

LIST = Path(__file__).with_name("slow.txt")
LIMIT = 0.5  # seconds
CHECKED = "not browser and not training"


def listed() -> frozenset[str]:
    """Return the slow functions, such as "tests/test_cams.py::test_three_methods_are_one"."""
    return frozenset(LIST.read_text().split())


def function(node: str) -> str:
    """Return a test's function, without its case."""
    return node.partition("[")[0]


def write(times: Iterable[tuple[str, float]]) -> None:
    """Write the list from the seconds of each case, by node id."""
    LIST.write_text(
        "".join(f"{name}\n" for name in sorted({function(n) for n, took in times if took > LIMIT}))
    )


def main() -> None:
    """Run the tests that are not left out anyway, and list the slow ones."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        options = ["-n", "2", "-q", "-m", CHECKED, f"--junitxml={report}"]
        subprocess.run([sys.executable, "-m", "pytest", *options], check=True)
        cases = list(ET.parse(report).iter("testcase"))
    nodes = (f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}" for case in cases)
    write(zip(nodes, (float(case.get("time", 0)) for case in cases), strict=True))


if __name__ == "__main__":
    main()
