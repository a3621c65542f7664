"""Draw docs/rooms.svg, who imports whom, from the code: `make rooms`.

    python docs/rooms.py

An arrow is at least one import, as wide as there are many. A test fails when the picture is out of date.
"""

import ast
from collections import Counter
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "resnet_explore"
PICTURE = HERE / "rooms.svg"

# Where each room stands: (column, row), and what it is for.
PLACES = {
    "models": (0, 1, "networks as data"),
    "inputs": (0, 0, "images and data sets"),
    "training": (1, 0, "runs and sweeps"),
    "analysis": (2, 1, "what we measure"),
    "exercises": (3, 0, "tasks and checks"),
    "figures": (2, 0, "numbers to pictures"),
    "widgets": (3, 1, "explorers"),
    "pages": (4, 1, "without Python"),
    "cli": (4, 0, "the command"),
}


def edges() -> Counter[tuple[str, str]]:
    """Return how many modules of a room import another room: {(importer, imported): modules}."""
    found: set[tuple[str, str, str]] = set()
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if room in PLACES and isinstance(node, ast.ImportFrom) and node.module:
                other = f"{node.module}..".split(".")[1]
                if node.module.startswith("resnet_explore.") and other in PLACES and other != room:
                    found.add((room, other, str(path)))
    return Counter((room, other) for room, other, _ in found)


def draw() -> Figure:
    """Return the picture."""
    figure = Figure(figsize=(11, 3.4))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(-0.5, 4.5), ylim=(-0.55, 1.55))
    ax.axis("off")
    for (room, other), count in sorted(edges().items()):
        (x, y, _), (a, b, _) = PLACES[room], PLACES[other]
        bend = 0.18 if y == b else 0.06
        arrow = FancyArrowPatch(
            (x - 0.33 * (x > a), y + 0.1 * (b > y) - 0.1 * (b < y)),
            (a + 0.36 * (x > a), b),
            connectionstyle=f"arc3,rad={bend}",
            arrowstyle="-|>",
            mutation_scale=12,
            color="#57606a",
            linewidth=0.6 + 0.05 * count,
            zorder=1,
        )
        ax.add_patch(arrow)
    for room, (x, y, words) in PLACES.items():
        style = {"facecolor": "#dbe8f4", "edgecolor": "#0072B2", "zorder": 2}
        box = FancyBboxPatch((x - 0.36, y - 0.2), 0.72, 0.4, "round,pad=0,rounding_size=0.06", **style)
        ax.add_patch(box)
        ax.text(x, y + 0.05, room, ha="center", va="center", fontsize=12, weight="bold", zorder=3)
        ax.text(x, y - 0.1, words, ha="center", va="center", fontsize=8.5, color="#57606a", zorder=3)
    return figure


def main() -> None:
    """Write the picture; what it is drawn from stands in it, so that a test can compare."""
    said = "; ".join(f"{room} imports {other}" for room, other in sorted(edges()))
    about = {
        "Title": "Rooms of resnet_explore",
        "Description": said,
        "Creator": "docs/rooms.py",
        "Date": None,
    }
    # Letters as text and not as paths, and the same file for the same code.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "rooms"}):
        draw().savefig(PICTURE, facecolor="white", metadata=about)


if __name__ == "__main__":
    main()
