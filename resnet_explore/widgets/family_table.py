"""All networks of the family in one table that sorts, with published accuracies and their sources."""

from typing import Any

import numpy as np
import pandas as pd

from resnet_explore.models.presets import list_models
from resnet_explore.widgets.architecture_words import named_depth, times
from resnet_explore.widgets.table import SortableTable

_LAYERS = "Convolutions and fully connected layers on the longest way from the image to the answer"
_IMAGENET = "One crop, the 50,000 validation pictures of ImageNet, 1,000 classes"
_COLUMNS: list[dict[str, Any]] = [
    {"title": "Network", "digits": None},
    {"title": "Input", "digits": None, "tip": "Pixels of the image that it is measured with"},
    {"title": "Layers", "digits": 0, "tip": _LAYERS},
    {"title": "by name", "digits": 0, "tip": "The depth that the network's name states"},
    {"title": "Parameters (M)", "digits": 2},
    {"title": "MACs (G)", "digits": 3},
    {"title": "Sees (pixels)", "digits": 0, "tip": "How far an output of the last stage can look at most"},
    {"title": "ImageNet top-1 %", "digits": 2, "best": -1, "tip": _IMAGENET},
    {"title": "newer recipe %", "digits": 2, "best": -1, "tip": f"{_IMAGENET}; trained longer and otherwise"},
    {"title": "CIFAR-10 top-1 %", "digits": 2, "best": -1, "tip": "The 10,000 test pictures, 10 classes"},
    {"title": "Source", "digits": None},
]


def family_table(family: pd.DataFrame) -> SortableTable:
    """Return the table of what is listed, and of two networks to compare it with."""
    names = {*list_models(), "vgg16", "vgg19"}
    rows = [_row(r) for r in family.to_dict("records") if r["model"] in names]
    one, other = (family[family["model"] == name].iloc[0].to_dict() for name in ("resnet50", "vgg19"))
    more = times(other["parameters"] / one["parameters"], "parameters")
    return SortableTable(
        title=f"resnet50 is right about {one['accuracy']:.1f} % of ImageNet's validation pictures, vgg19 "
        f"about {other['accuracy']:.1f} % with {more}.",
        columns=_COLUMNS,
        rows=rows,
        order=[1, -1],
        caption="Click a head to sort; accuracies begin with the best. Layers, parameters, multiply-adds "
        "(MACs) and how many pixels across an output of the last stage can see are measured on the "
        "live networks. Layers are convolutions and fully connected ones on the longest way from "
        "image to answer; a projection beside it doesn't count. Names may count otherwise: res2net50 "
        "has 74 as the 3×3 convolutions of a block follow each other and its name counts them as one; "
        "the 28 of wrn28_10 counts three projections and not the fully connected layer. Accuracies "
        "are published ones, on one crop of ImageNet's 50,000 validation pictures or on CIFAR-10's "
        "10,000 test pictures; CIFAR-10 has 10 classes and not 1,000, so compare within a column. A "
        "newer recipe changes the training, not the network.",
    )


def _row(r: dict[Any, Any]) -> list[Any]:
    cifar, accuracy = r["family"] == "CIFAR", _known(r["accuracy"])
    return [
        *(r["model"], "32×32" if cifar else "224×224", r["depth"], named_depth(r["model"])),
        *(r["parameters"] / 1e6, r["macs"] / 1e9, _known(r["receptive_field"])),
        *(None if cifar else accuracy, _known(r["newer"]), accuracy if cifar else None, _known(r["source"])),
    ]


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value
