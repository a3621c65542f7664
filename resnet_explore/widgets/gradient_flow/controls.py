"""The controls of the gradient explorer's pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from resnet_explore.analysis.gradients.conditions import OWN, STEPS
from resnet_explore.widgets.core.view import Button, Choice, Menu, More, Part, Slider, Tabs
from resnet_explore.widgets.gradient_flow import captions
from resnet_explore.widgets.gradient_flow.state import HERE, GradientFlowState

TABS = Tabs(
    "view",
    (
        Choice("layers", "Layer by layer", "Gradients of both twins at each layer, by depth and by step"),
        Choice("skip", "Skip strength", "From plain to residual: skips that carry a share of what they got"),
        Choice("jacobians", "Block by block", "How each block stretches small changes: its Jacobian"),
        Choice("claims", "Claims", "What papers say, measured now beside their formulas"),
        Choice("guess", "Guess first", "Questions: guess, then measure"),
    ),
)
_FIRST = {f.name: f.default for f in fields(GradientFlowState)}


@dataclass(frozen=True)
class Facts:
    """What the pages are told beside the state.

    depths    of the twins that are measured here
    records   names of recorded trainings
    own       names of a person's own networks, () where the twins are shown
    images    whether there are images of a person's own
    seed      of weights and images
    known     sentences on what is known of own networks
    """

    depths: Sequence[int]
    records: Sequence[str]
    own: Sequence[str] = ()
    images: bool = False
    seed: int = 0
    known: Sequence[str] = ()

    @property
    def usual_depth(self) -> int:
        """The depth that the explorer opens at: deep, and soon measured."""
        return self.depths[len(self.depths) * 3 // 4]


def _menu(key: str, label: str, words: Mapping[str, str], tip: str = "") -> Menu:
    return Menu(key, label, tuple(Choice(value, said) for value, said in words.items()), tip)


def source_menu(facts: Facts) -> Menu:
    """Return the menu of what is looked at: networks that are measured here, or recorded trainings."""
    words = {HERE: "measured here", **{name: captions.record_name(name) for name in facts.records}}
    return _menu("source", "Networks", words)


def picture_menu() -> Menu:
    """Return the menu of how a recorded training is drawn."""
    return _menu("picture", "Picture", {"lines": "one step", "heatmap": "all steps"})


def condition_menus(state: GradientFlowState) -> tuple[Part, ...]:
    """Return the menus of mode, norm and start; where two exclude each other, their words say so."""
    norms = {norm: captions.norm_words(norm, state.start) for norm in captions.NORMS}
    starts = {start: captions.start_words(start, state.start_asked) for start in captions.STARTS}
    return (
        _menu("mode", "Mode", captions.MODES, "Which mean and variance batch norm uses"),
        _menu("norm", "Norm", norms, "What normalises the channels behind each convolution"),
        _menu("start", "Start", starts, "How the residual network's branches begin"),
    )


def step_controls(state: GradientFlowState, menu: bool = False) -> tuple[Part, ...]:
    """Return the button that takes steps of SGD; with `menu` also which of them are shown."""
    tip = "Train what is shown a little, and measure again"
    button = Button("take", captions.TAKE, tip)
    if not (menu and state.steps):
        return (button,)
    return Menu("step", "Step", _steps(state)), button


def step_sliders(state: GradientFlowState) -> tuple[Part, ...]:
    """Return the slider over steps that were taken here, none before the first."""
    return (Slider("step", "Step", _steps(state), play=True),) if state.steps else ()


def _steps(state: GradientFlowState) -> tuple[Choice, ...]:
    return tuple(Choice(step, f"{step}") for step in range(0, state.steps + 1, STEPS))


def depth_slider(depths: Sequence[int]) -> Slider:
    """Return the slider over depths."""
    return Slider("depth", "Depth", tuple(Choice(depth, f"{depth}") for depth in depths), play=True)


def depth_menu(depths: Sequence[int]) -> Menu:
    """Return the menu of depths, where a slider moves something else."""
    return Menu("depth", "Depth", tuple(Choice(depth, f"{depth}") for depth in depths))


def more_switches(state: GradientFlowState, facts: Facts, shown: bool = True) -> More:
    """Return what is rarely changed, folded; the fold's word names what is not as at first.

    shown  whether it can be chosen what of each layer is drawn
    """
    data = {**({OWN: "your images"} if facts.images else {}), **captions.DATA}
    menus: list[tuple[str, str, Mapping[str, str]]] = []
    if not facts.own:
        menus += [("data", "Data", data), ("activation", "Activation", captions.ACTIVATIONS)]
    if shown:
        menus.append(("shown", "Shown", captions.SHOWN))
    first: dict[str, Any] = {**_FIRST, "data": OWN if facts.images else _FIRST["data"]}
    changed = [
        words[getattr(state, key)].partition(" (")[0]
        for key, _, words in menus
        if getattr(state, key) != first[key]
    ]
    return More("more", tuple(_menu(*menu) for menu in menus), captions.more_label(changed))
