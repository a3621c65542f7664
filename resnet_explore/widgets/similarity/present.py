"""From the state of the similarity explorer to its page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from resnet_explore.analysis.similarity_record import KINDS, Similarities
from resnet_explore.figures.chart import Axis, Chart, Series, spread
from resnet_explore.widgets.catalog.networks import OWN, Networks
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.guess import Question
from resnet_explore.widgets.core.matrix_panel import Matrices, Matrix
from resnet_explore.widgets.core.tiles_panel import Tiles
from resnet_explore.widgets.core.view import Choice, Group, Menu, Over, Part, Prose, Slider, Tabs, View
from resnet_explore.widgets.similarity import captions
from resnet_explore.widgets.similarity.grids import ComparedNetworks, Grid, recorded_grids
from resnet_explore.widgets.similarity.jobs import TwoLayers
from resnet_explore.widgets.similarity.records import Recorded
from resnet_explore.widgets.similarity.state import SimilarityState

# What the first question is about: who has changed one of them is past it.
_ASKED = ("view", "networks", "comparing", "layers", "pair")
_FEWEST = "fewest_directions"
_COLLAPSED = 1.5  # directions below which images are said to lie on a line


@dataclass(frozen=True)
class Sources:
    """What a page is made of, as far as it is there.

    lacks     what can't be compared, and why
    recorded  of twins that ship
    measured  of a person's own networks
    looked    what the two layers of the chosen cell say
    """

    lacks: Mapping[str, str]
    recorded: Recorded | None = None
    measured: ComparedNetworks | None = None
    looked: TwoLayers | None = None


def present(
    state: SimilarityState,
    entries: Mapping[str, Networks],
    images: Sequence[Part],
    sources: Sources,
) -> View:
    """Return the page; `images` are the controls that choose an image."""
    whole = _View(state, entries, sources)
    if whole.waits or (state.pair is not None and sources.looked is None):
        return View(
            tabs=whole.tabs,
            ask=whole.ask,
            panels=None,
            waiting=captions.WAITING,
            question=whole.question,
            glossary=captions.GLOSSARY,
        )
    return whole.depth_page() if state.view == "depth" else whole.matrix_page(images)


class _View:
    """One page in the making."""

    def __init__(self, state: SimilarityState, entries: Mapping[str, Networks], sources: Sources) -> None:
        self.state, self.entries, self.sources = state, entries, sources
        self.recorded, self.measured = sources.recorded, sources.measured
        self.waits = self.recorded is None and self.measured is None

    # --- controls -------------------------------------------------------------------------------------------

    @property
    def tabs(self) -> Tabs:
        own = self.state.networks == OWN
        lacks = ("", captions.ONE_DEPTH if own else "")
        choices = [replace(choice, missing=why) for choice, why in zip(captions.TABS, lacks, strict=True)]
        return Tabs("view", tuple(choices))

    @property
    def ask(self) -> list[Part]:
        networks = tuple(Choice(e.key, e.label, e.tip) for e in self.entries.values())
        parts: list[Part] = [Menu("networks", "Networks", networks)] if len(networks) > 1 else []
        if self.state.view == "depth":
            return parts
        lacks = self.sources.lacks
        compared = tuple(replace(one, missing=lacks.get(one.value, "")) for one in captions.COMPARING)
        parts.append(Menu("comparing", "Compare", compared))
        no_blocks = self.measured is not None and not any(self.measured.blocks)
        return parts if no_blocks else [*parts, Menu("layers", "Layers", captions.LAYERS)]

    @property
    def slider(self) -> tuple[Slider, ...]:
        if self.recorded is None:
            return ()
        stops = tuple(Choice(depth, str(depth)) for depth in self.recorded.similarities.depths)
        return (Slider("depth", "Depth", stops, play=True, tip="Layers with weights"),)

    # --- matrices -------------------------------------------------------------------------------------------

    def grids(self) -> dict[int, tuple[Grid, ...]]:
        """Return the matrices of all depths; of networks of one depth at 0."""
        comparing, layers = self.state.comparing, self.state.layers
        if self.recorded is not None:
            record = self.recorded.similarities
            return {depth: recorded_grids(record, depth, comparing, layers) for depth in record.depths}
        return {0: self.measured.grids(comparing, layers)} if self.measured else {}

    def matrix_page(self, images: Sequence[Part]) -> View:
        state, grids = self.state, self.grids()

        def over(make: Any) -> Any:
            if self.recorded is None:
                return make(0, grids[0])
            return Over("depth", {depth: make(depth, each) for depth, each in grids.items()})

        return View(
            tabs=self.tabs,
            ask=self.ask,
            headline=over(lambda _, each: captions.headline(each, state.comparing, state.layers)),
            why=over(self._why),
            panels=((over(self._matrices),), *self._of_all_seeds(over)),
            sliders=self.slider,
            below=self._below(images),
            conditions=over(self._conditions),
            glossary=captions.GLOSSARY,
            question=self.question,
        )

    def _matrices(self, depth: int, grids: Sequence[Grid]) -> Matrices:
        here = self.recorded is None or depth == self.state.depth
        return Matrices(
            "matrices",
            [_matrix(grid) for grid in grids],
            0.0,
            1.0,
            captions.LABEL,
            captions.axis(grids, self.state.layers),
            captions.axis(grids, self.state.layers),
            scale="linear",
            chooses="pair",
            chosen=self.state.pair if here else None,
            tip=captions.TIP,
            square=True,
        )

    def _why(self, depth: int, grids: Sequence[Grid]) -> str:
        state = self.state
        if state.comparing == "itself" and state.layers == "all" and all(grid.has_branches for grid in grids):
            return captions.GRID_WHY
        if self.recorded is None:
            return captions.why_measured(grids, state.comparing)
        said = captions.WHY[state.comparing]
        if state.comparing != "itself":
            return said
        left = self.recorded.similarities.directions(depth, "plain")
        narrowest = int(np.nanargmin(left))
        if left[narrowest] >= _COLLAPSED:
            return said
        return said + captions.collapsed(f"Plain-{depth}", narrowest + 1, float(left[narrowest]))

    def _conditions(self, depth: int, grids: Sequence[Grid]) -> tuple[str, ...]:
        said = [captions.MEASURE, captions.distant(grids), captions.ROWS]
        if self.recorded is not None:
            record = self.recorded.similarities
            said.insert(0, captions.recorded(record))
            said += [captions.errors(depth, *self.recorded.errors[depth, seed], seed) for seed in self._seeds]
            said += [captions.empty(*each) for grid in grids for each in grid.lost.items()]
        elif self.measured is not None:
            said = [captions.measured(self.measured), *said, captions.left_out(self.measured.constant)]
        if self.sources.looked is not None and self.state.pair is not None:
            said.append(captions.looked(self.sources.looked))
        return tuple(filter(None, said))

    def _of_all_seeds(self, over: Callable[[Callable[..., Any]], Any]) -> tuple[tuple[Any, ...], ...]:
        """Return what stands below the matrices: they are of one seed, which may be no usual one."""
        record = self.recorded.similarities if self.recorded else None
        if record is None or len(record.seeds) < 2:
            return ()
        return ((over(lambda depth, _: Prose("seeds", (self._spread(record, depth),))),),)

    def _spread(self, record: Similarities, depth: int) -> str:
        comparing, place = self.state.comparing, record.depths.index(depth)
        column = {"itself": "distant", "twins": "twin", "seeds": "other_seed"}[comparing]
        both = [list(record.over_seeds(kind, column)[place]) for kind in KINDS]
        return captions.over_all_seeds(comparing, record.seeds, *both)

    @property
    def _seeds(self) -> Sequence[int]:
        record = self.recorded.similarities if self.recorded else None
        return () if record is None else record.seeds[: 2 if self.state.comparing == "seeds" else 1]

    def _below(self, images: Sequence[Part]) -> Any:
        looked, depth = self.sources.looked, self.state.depth
        if looked is None or self.state.pair is None:
            return ()
        tiles = Tiles("tiles", looked.shown, captions.ORDERS, looked.colors)
        if self.recorded is None:
            return ((Group("image", images),), (tiles,))
        return ((Over("depth", {depth: Group("image", images)}),), (Over("depth", {depth: tiles}),))

    # --- through depth --------------------------------------------------------------------------------------

    def depth_page(self) -> View:
        if self.recorded is None:
            return View(tabs=self.tabs, ask=self.ask, headline=captions.ONE_DEPTH)
        record = self.recorded.similarities
        means = [list(record.over_seeds(kind, "distant").mean(1)) for kind in KINDS]
        lost = {
            depth: [row["constant"] for row in record.rows if row["depth"] == depth]
            for depth in record.depths
        }
        said = [
            captions.constant(depth, sum(blocks), sum(map(bool, blocks)))
            for depth, blocks in lost.items()
            if any(blocks)
        ]
        return View(
            tabs=self.tabs,
            ask=self.ask,
            headline=captions.depth_headline(record.depths, *means),
            why=captions.WHY["depth"] + (captions.LEFT_WHY if _collapses(record) else ""),
            panels=((_depth_charts(record),),),
            sliders=self.slider,
            conditions=(*captions.over_seeds(record), *said),
            glossary=captions.GLOSSARY,
        )

    # --- the question ---------------------------------------------------------------------------------------

    @property
    def question(self) -> Over | None:
        """What is asked about the twins that come first; of nothing else, so at one depth."""
        usual = SimilarityState()
        moved = any(getattr(self.state, name) != getattr(usual, name) for name in _ASKED)
        if moved or self.recorded is None:
            return None
        grids = recorded_grids(self.recorded.similarities, usual.depth, "itself", "blocks")
        plain, residual = (grid.distant for grid in grids)
        apart = residual - plain
        right = "both" if abs(apart) < captions.CLOSE else "residual" if apart > 0 else "plain"
        asked = Question(
            f"similarity/distant/{usual.networks}-{usual.depth}",
            captions.question(usual.depth),
            tuple(Choice(*pair) for pair in captions.ANSWERS.items()),
            right,
            captions.RULE,
            captions.told(plain, residual),
            captions.QUESTION_WHY,
            captions.REPLIES if right == "residual" else {},
        )
        return Over("depth", {usual.depth: asked})


def _collapses(record: Similarities) -> bool:
    """Whether plain networks, of several seeds, have blocks behind which images lie on a line."""
    return len(record.seeds) > 1 and bool(np.nanmin(record.over_seeds("plain", _FEWEST)) < _COLLAPSED)


def _matrix(grid: Grid) -> Matrix:
    rows, columns = (
        [captions.layer_name(name, blocks) for name in there]
        for there, blocks in zip((grid.rows, grid.columns), grid.blocks, strict=True)
    )
    numbers = [str(k) for k in range(1, len(columns) + 1)]
    return Matrix(grid.title, grid.values.astype(np.float32), numbers, grid.kind, rows, columns)


def _depth_charts(record: Similarities) -> Charts:
    charts = [_over_depth(record, captions.DISTANT_TITLE, "distant", _share("mean CKA"), "untrained_distant")]
    if len(record.seeds) > 1:
        charts.append(_over_depth(record, captions.SEEDS_TITLE, "other_seed", _share("mean CKA")))
    left = Axis.around(captions.LEFT_AXIS, *(record.over_seeds(kind, _FEWEST) for kind in KINDS))
    charts.append(_over_depth(record, captions.LEFT_TITLE, _FEWEST, left))
    return Charts("charts", tuple(charts), chooses="depth")


def _share(label: str) -> Axis:
    return Axis(label, -0.05, 1.0)


def _over_depth(record: Similarities, title: str, column: str, y: Axis, before: str = "") -> Chart:
    depths = record.depths
    across = Axis(
        "depth (layers with weights)", depths[0] * 0.9, depths[-1] * 1.1, "log", name="depth", ticks=depths
    )
    series = []
    for kind in KINDS:
        values = record.over_seeds(kind, column)
        series.append(Series(kind.capitalize(), depths, kind=kind, **spread(values)))
        if before:
            name, untrained = f"{kind.capitalize()}, untrained", record.over_seeds(kind, before).mean(1)
            series.append(Series(name, depths, untrained, kind=kind, look="open", line="dashed"))
    chosen = Over("depth", {depth: float(depth) for depth in depths})
    return Chart(title, across, y, tuple(series), chosen=chosen)
