"""A person's own images as the data of a small sweep: where they lie, and what to do with broken ones."""

import html
from collections.abc import Callable
from pathlib import Path

import ipywidgets

from resnet_explore.errors import ExploreError
from resnet_explore.inputs.folders import LAYOUT, Survey, survey
from resnet_explore.training.plan import Sweep
from resnet_explore.widgets.words import error, listed

_STEPS = 150  # of training that a small set gets at least, about what the digits have


class FolderField(ipywidgets.HBox):
    """A path to images laid out as `LAYOUT` says, and whether to skip broken ones.

    runs_in   the folder in which each image folder gets one for its runs
    changed   called when the person has changed something

    Attributes: `path`, `skip` (the controls), `problem` (what `sentence` found wrong with the folder, or "").
    """

    def __init__(self, runs_in: Path, changed: Callable[[], None]) -> None:
        self._runs_in, self.problem = runs_in, ""
        self.path = ipywidgets.Text(
            description="Folder",
            placeholder="such as ~/photos",
            continuous_update=False,
            style={"description_width": "initial"},
            layout={"flex": "1 1 160px", "width": "auto", "min_width": "0"},
        )
        self.skip = ipywidgets.Checkbox(
            description="Leave out broken images", indent=False, layout={"flex": "0 0 auto", "width": "auto"}
        )
        for control in (self.path, self.skip):
            control.observe(lambda _: changed(), "value")
        super().__init__([self.path, self.skip], layout={"flex": "1 1 380px", "grid_gap": "0 12px"})

    def sentence(self) -> str:
        """Return in HTML what would be trained, or what is wrong with the folder."""
        self.problem = ""
        if not self.path.value.strip():
            return (
                f"Name a folder of images that lie as {html.escape(LAYOUT)}. They are shown to the networks "
                "as 32×32 pixels and stay on this computer."
            )
        try:
            found = self._survey()
        except ExploreError as problem:
            self.problem = str(problem)
            return error(self.problem)
        sweep = folder_sweep(found, self.path.value, False)
        *most, deepest = sweep.depths
        return (
            f"{found.images:,} training images of {len(found.classes)} classes "
            f"({listed(list(found.classes))}). <b>Train</b> trains {len(sweep.runs())} networks of "
            f"{', '.join(map(str, most))} and {deepest} layers on them, {sweep.epochs} epochs each."
        )

    def job(self, seed: int) -> tuple[Sweep, Path]:
        """Return the sweep and where its runs go: elsewhere, once the images have changed."""
        found = self._survey()
        sweep = folder_sweep(found, self.path.value, bool(self.skip.value), seed)
        name = Path(self.path.value.strip()).expanduser().absolute().name or "images"
        return sweep, self._runs_in / f"{name}-{found.fingerprint}" / f"seed-{seed}"

    def _survey(self) -> Survey:
        if not self.path.value.strip():
            raise ExploreError("Name a folder of images first.")
        return survey(self.path.value.strip())


def folder_sweep(found: Survey, root: str, skip_unreadable: bool, seed: int = 0) -> Sweep:
    """Return a sweep that is small enough to be waited for: narrow networks, 32x32 pixels, three depths."""
    batch = 32
    steps = max(1, found.images // batch)
    return Sweep(
        dataset="folder",
        root=root.strip(),
        skip_unreadable=skip_unreadable,
        size=32,
        depths=(8, 20, 56),
        seeds=(seed,),
        epochs=min(max(-(-_STEPS // steps), 4), 30),
        batch_size=batch,
        augment="crop",
    )
