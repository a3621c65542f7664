"""One frozen description from which every network of the family, and its plain twin, is built."""

from dataclasses import dataclass, fields, replace
from typing import Any

from resnet_explore.errors import ExploreError, unknown

# Layers with weights in one block, and how much wider its output is than its inner convolutions
# (He et al. 2015, Fig. 5).
BLOCKS = {"basic": (2, 1), "bottleneck": (3, 4)}

_CHOICES = {
    "block": tuple(BLOCKS),
    "stem": ("imagenet", "cifar"),
    "shortcut": ("projection", "padding"),
    "order": ("post",),
    "norm": ("batch", "none"),
}


@dataclass(frozen=True)
class ResNetConfig:
    """A ResNet as data (He et al. 2015, arXiv 1512.03385, Table 1 and section 4.2).

    block         "basic" (two 3x3 convolutions) or "bottleneck" (1x1, 3x3, 1x1; output 4 times as wide)
    depths        blocks in each stage
    widths        channels of each stage's 3x3 convolutions
    stem          "imagenet" (7x7 stride 2, then max pool) or "cifar" (one 3x3)
    residual      False gives the plain twin: the same layers without shortcuts
    shortcut      where shapes differ: "projection" (1x1 convolution, option B) or "padding" (subsample and
                  pad with zero channels, no parameters, option A)
    groups, group_width   grouped 3x3 convolutions in bottlenecks, as in ResNeXt and Wide ResNet
    scales        channel groups inside a block; 1 is the ordinary block
    order         "post": batch norm and ReLU after each convolution, ReLU after the addition
    norm          "batch", or "none" (convolutions then have biases)

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

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown(f"{name} in ResNetConfig:", getattr(self, name), choices)
        for name in ("depths", "widths"):
            values = getattr(self, name)
            if not isinstance(values, list | tuple) or not values or not all(_positive(v) for v in values):
                raise ExploreError(
                    f"ResNetConfig needs {name} as whole numbers of at least 1, not {values!r}."
                )
            object.__setattr__(self, name, tuple(values))
        for name in ("groups", "group_width", "scales", "num_classes", "in_channels"):
            if not _positive(getattr(self, name)):
                raise ExploreError(
                    f"ResNetConfig needs {name} as a whole number of at least 1, not {getattr(self, name)!r}."
                )
        self._check_combinations()

    def _check_combinations(self) -> None:
        if len(self.depths) != len(self.widths):
            raise ExploreError(
                f"ResNetConfig needs one width for each stage, but depths has {len(self.depths)} "
                f"and widths has {len(self.widths)} values."
            )
        if self.scales != 1:
            raise ExploreError(f"ResNetConfig has blocks of scales=1 only, not {self.scales}.")
        if self.block == "basic" and (self.groups, self.group_width) != (1, 64):
            raise ExploreError("ResNetConfig: groups and group_width apply to block='bottleneck' only.")
        for width in self.widths:
            if self.block == "bottleneck" and self.inner_width(width) % self.groups:
                inner = self.inner_width(width)
                raise ExploreError(f"ResNetConfig: groups={self.groups} must divide the inner width {inner}.")
        if self.shortcut == "padding" and any(
            after < before for before, after in zip(self.widths, self.widths[1:], strict=False)
        ):
            raise ExploreError(
                f"ResNetConfig: shortcut='padding' needs widths that never shrink, not {self.widths}."
            )

    @property
    def expansion(self) -> int:
        """How many times wider a block's output is than `widths` says."""
        return BLOCKS[self.block][1]

    @property
    def depth(self) -> int:
        """Weighted layers on the main path: stem, blocks and classifier; shortcuts don't count."""
        return 2 + BLOCKS[self.block][0] * sum(self.depths)

    def inner_width(self, width: int) -> int:
        """Channels of a bottleneck's 3x3 convolution in a stage of this width (Xie et al. 2017)."""
        return int(width * self.group_width / 64) * self.groups

    def plain(self) -> "ResNetConfig":
        """Return the twin without shortcuts, otherwise the same."""
        return self.replace(residual=False)

    def replace(self, **changes: Any) -> "ResNetConfig":
        """Return a copy with some fields changed; a field name that doesn't exist raises ExploreError."""
        names = [f.name for f in fields(self)]
        for name in changes:
            if name not in names:
                raise unknown("ResNetConfig field", name, names)
        return replace(self, **changes)


def _positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
