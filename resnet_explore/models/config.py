"""Frozen descriptions from which every network of the family, and its plain twin, is built."""

import math
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

from resnet_explore.errors import ExploreError, unknown

# Layers with weights in one block, and how much wider its output is than its inner convolutions
# (He et al. 2015, Fig. 5).
BLOCKS = {"basic": (2, 1), "bottleneck": (3, 4)}

_CHOICES = {
    "block": BLOCKS,
    "stem": ("imagenet", "cifar"),
    "shortcut": ("projection", "padding", "projection_all"),
    "order": ("post", "bn_after_add", "relu_before_add", "relu_only_pre", "pre"),
    "norm": ("batch", "group", "none"),
    "gate": ("none", "exclusive", "shortcut_only"),
    "init": ("he", "rezero", "skipinit", "fixup"),
}
_COUNTS = ("groups", "group_width", "scales", "num_classes", "in_channels")
_CHANCES = ("skip_dropout", "stochastic_depth")
_NUMBERS = ("branch_scale", "skip_scale", "gate_bias")

# Of 1,202 layers the papers' deepest has 19 million parameters, so these fit a laptop; a typo's may not.
MOST_LAYERS = 10_000


@dataclass(frozen=True)
class ResNetConfig:
    """A ResNet as data (He et al. 2015, arXiv 1512.03385, Table 1 and section 4.2).

    block         "basic" (two 3x3 convolutions) or "bottleneck" (1x1, 3x3, 1x1; output 4 times as wide)
    depths        blocks in each stage
    widths        channels of each stage's 3x3 convolutions
    stem          "imagenet" (7x7 stride 2, then max pool) or "cifar" (one 3x3)
    residual      False gives the plain twin: the same layers without shortcuts
    shortcut      where shapes differ: "projection" (1x1 convolution, option B) or "padding" (subsample and
                  pad with zero channels, no parameters, option A); "projection_all": a 1x1 convolution in
                  every block (option C; He et al. 2016, section 3.3)
    groups, group_width   grouped 3x3 convolutions in bottlenecks, as in ResNeXt and Wide ResNet
    scales        channel groups inside a block, each seeing the one before (Res2Net; Gao et al. 2019); 1 is
                  the ordinary block
    order         what stands where in a block (He et al. 2016, arXiv 1603.05027, Fig. 4): "post" (a),
                  "bn_after_add" (b), "relu_before_add" (c), "relu_only_pre" (d), "pre" (e)
    norm          "batch", "group" (Wu and He 2018), or "none" (convolutions then have biases)
    num_classes, in_channels   of the classifier and the images
    stem_width    channels of the stem; None for as many as the first stage's
    branch_scale, skip_scale   constant factors on F(x) and on the shortcut (He et al. 2016, section 3.1)
    gate          g(x) = sigmoid(1x1 convolution of x), its bias starting at `gate_bias`: "exclusive" gives
                  g F(x) + (1 - g) x, "shortcut_only" F(x) + (1 - g) x (He et al. 2016, section 3.2)
    skip_dropout  share of the shortcut's values dropped in training (He et al. 2016, section 3.4)
    init          "he": He normal; "rezero": a learnable scalar on each branch starts at 0 (Bachlechner et al.
                  2020); "skipinit": the same without norm (De and Smith 2020); "fixup": without norm, by
                  rescaled weights, zeros and scalars (Zhang et al. 2019)
    stochastic_depth   chance that a training step skips the last block's branch; it grows linearly from 0
                  at the input (Huang et al. 2016, section 3)

    Raises ExploreError, naming the field, for values that describe no network.
    """

    block: str = "basic"
    depths: tuple[int, ...] = (2, 2, 2, 2)
    widths: tuple[int, ...] = (64, 128, 256, 512)
    stem: str = "imagenet"
    residual: bool = True
    shortcut: str = "projection"
    groups: int = 1
    group_width: int = 64
    scales: int = 1
    order: str = "post"
    norm: str = "batch"
    num_classes: int = 1000
    in_channels: int = 3
    stem_width: int | None = None
    branch_scale: float = 1.0
    skip_scale: float = 1.0
    gate: str = "none"
    gate_bias: float = 0.0
    skip_dropout: float = 0.0
    init: str = "he"
    stochastic_depth: float = 0.0

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown(f"{name} in ResNetConfig:", getattr(self, name), choices)
        for name in ("depths", "widths"):
            object.__setattr__(self, name, counts("ResNetConfig", name, getattr(self, name)))
        for name in _COUNTS + (("stem_width",) if self.stem_width is not None else ()):
            object.__setattr__(self, name, count("ResNetConfig", name, getattr(self, name)))
        refuse_too_deep(self.depth)
        for name in _NUMBERS + _CHANCES:
            value = getattr(self, name)
            chance = name in _CHANCES
            number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
            if not number or (chance and not 0 <= value < 1):
                allowed = "at least 0 and below 1" if chance else "a finite number"
                raise ExploreError(f"ResNetConfig needs {name} as {allowed}, not {value!r}.")
            if not isinstance(value, int | float):
                object.__setattr__(self, name, float(value))  # NumPy's, which JSON doesn't take
        self._check_shapes()
        self._check_combinations()

    def _check_shapes(self) -> None:
        if len(self.depths) != len(self.widths):
            raise ExploreError(
                f"ResNetConfig needs one width for each stage, but depths has {len(self.depths)} "
                f"and widths has {len(self.widths)} values."
            )
        if self.block == "basic" and (self.groups, self.group_width, self.scales) != (1, 64, 1):
            raise ExploreError(
                "ResNetConfig: groups, group_width and scales apply to block='bottleneck' only."
            )
        for width in self.widths:
            inner = self.inner_width(width)
            if self.block == "bottleneck" and inner < 1:
                raise ExploreError(
                    f"ResNetConfig: group_width={self.group_width} leaves no channel to a stage of width "
                    f"{width}: their product must be at least 64."
                )
            whole = width * self.group_width * self.groups / 64
            if self.groups > 1 and whole % self.groups:
                raise ExploreError(
                    f"ResNetConfig: groups={self.groups} must divide the inner width {whole:g}."
                )
            if self.scales > width:
                raise ExploreError(
                    f"ResNetConfig: scales={self.scales} must not exceed the width of a stage, here {width}."
                )
        outputs = (self.first_width, *(w * self.expansion for w in self.widths))
        if self.shortcut == "padding" and any(after < before for before, after in pairwise(outputs)):
            raise ExploreError(
                f"ResNetConfig: shortcut='padding' needs widths that never shrink, not {self.widths}"
                + (f" after stem_width={self.stem_width}." if self.stem_width else ".")
            )

    def _check_combinations(self) -> None:
        rules = {
            "a plain network has no branch to skip, so residual=False needs stochastic_depth=0": (
                not self.residual and self.stochastic_depth > 0
            ),
            "scales above 1 go with order='post' only": self.scales > 1 and self.order != "post",
            f"init={self.init!r} does without normalisation, so it needs norm='none'": (
                self.init in ("skipinit", "fixup") and self.norm != "none"
            ),
            "init='fixup' is defined for order='post' only": self.init == "fixup" and self.order != "post",
            "gate_bias needs a gate: 'exclusive' or 'shortcut_only'": self.gate == "none"
            and self.gate_bias != 0,
        }
        for rule, broken in rules.items():
            if broken:
                raise ExploreError(f"ResNetConfig: {rule}.")

    @property
    def expansion(self) -> int:
        """How many times wider a block's output is than `widths` says."""
        return BLOCKS[self.block][1]

    @property
    def first_width(self) -> int:
        """Channels of the stem's output."""
        return self.widths[0] if self.stem_width is None else self.stem_width

    @property
    def depth(self) -> int:
        """Weighted layers by the papers' count: stem, blocks and classifier; shortcuts don't count.

        A bottleneck counts 3, also where `scales` makes a chain of its 3x3 convolution.
        """
        return 2 + BLOCKS[self.block][0] * sum(self.depths)

    def inner_width(self, width: int) -> int:
        """Channels of a bottleneck's 3x3 convolution in a stage of this width (Xie et al. 2017).

        With `scales` above 1 each scale has so many.
        """
        return int(width * self.group_width / 64) * self.groups

    def plain(self) -> "ResNetConfig":
        """Return the twin without shortcuts and without what lives on them, otherwise the same."""
        return self.replace(residual=False, stochastic_depth=0.0)

    def replace(self, **changes: Any) -> "ResNetConfig":
        """Return a copy with some fields changed; a field name that doesn't exist raises ExploreError."""
        check_fields(self, changes)
        return replace(self, **changes)


@dataclass(frozen=True)
class HRNetConfig:
    """An HRNet for classification as data (Wang et al. 2020, arXiv 1908.07919, section 3.3).

    A name's number is the width.

    width      channels of the finest resolution; each coarser one has twice as many
    modules    exchanges between the resolutions in stage 2 (two resolutions), 3 and 4
    blocks     residual blocks that each resolution has between two exchanges
    residual   False gives the plain twin: the same layers, but no block has a shortcut

    Raises ExploreError, naming the field, for values that describe no network.
    """

    width: int = 18
    modules: tuple[int, ...] = (1, 4, 3)
    blocks: int = 4
    residual: bool = True
    num_classes: int = 1000
    in_channels: int = 3

    def __post_init__(self) -> None:
        for name in ("width", "blocks", "num_classes", "in_channels"):
            object.__setattr__(self, name, count("HRNetConfig", name, getattr(self, name)))
        object.__setattr__(self, "modules", counts("HRNetConfig", "modules", self.modules))
        if len(self.modules) != 3:
            raise ExploreError(f"HRNetConfig needs modules for stages 2, 3 and 4, not {self.modules!r}.")
        streams = zip(self.modules, (2, 3, 4), strict=True)
        refuse_too_deep(2 * self.blocks * sum(modules * width for modules, width in streams))

    def plain(self) -> "HRNetConfig":
        """Return the twin whose blocks have no shortcuts, otherwise the same."""
        return replace(self, residual=False)

    def replace(self, **changes: Any) -> "HRNetConfig":
        """Return a copy with some fields changed; a field name that doesn't exist raises ExploreError."""
        check_fields(self, changes)
        return replace(self, **changes)


def check_fields(config: Any, changes: dict[str, Any]) -> None:
    """Raise ExploreError for a name in `changes` that is no field of this config."""
    names = [f.name for f in fields(config)]
    for name in changes:
        if name not in names:
            raise unknown(f"{type(config).__name__} field", name, names)


def refuse_too_deep(layers: float) -> None:
    """Raise ExploreError if a network has more layers than anybody can build."""
    if layers > MOST_LAYERS:
        given = "More than a billion" if layers > 1e9 else f"{layers:,}"
        raise ExploreError(
            f"{given} layers are too many: {MOST_LAYERS:,} are the limit, since building more fills the "
            "memory before an image is seen."
        )


def count(owner: str, name: str, value: Any) -> int:
    """Return a whole number of at least 1 as int; ExploreError if the value of this field is none."""
    if not _positive(value):
        raise ExploreError(f"{owner} needs {name} as a whole number of at least 1, not {value!r}.")
    return int(value)


def counts(owner: str, name: str, values: Any) -> tuple[int, ...]:
    """Return such numbers as a tuple; ExploreError if there is none or one is no whole number >= 1."""
    given = values.tolist() if hasattr(values, "tolist") else values  # an array
    if not isinstance(given, list | tuple) or not given or not all(map(_positive, given)):
        raise ExploreError(f"{owner} needs {name} as whole numbers of at least 1, not {given!r}.")
    return tuple(map(int, given))


def _positive(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1
