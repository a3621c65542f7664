"""Measure every network of the family and write data/family.csv, which the architecture explorer shows.

    python -m benchmarks.family

Counts are measured on the live modules by `describe`; accuracies are published ones, with their sources:
torchvision's from the metadata of its weights, the others copied here.
"""

import csv
import sys
from pathlib import Path

import resnet_explore as rx
from resnet_explore.models.peers import open_network

PATH = Path(__file__).parents[1] / "data" / "family.csv"
COLUMNS = ("model", "family", "depth", "parameters", "macs", "receptive_field", "accuracy", "newer", "source")
# Numbers of basic blocks a stage, n of He et al. 2015, section 4.2, that the depth slider stops at.
CIFAR_STOPS = (1, 2, 3, 5, 7, 9, 12, 18, 27, 40, 54, 75, 100, 150, 200)
TIMM = "timm 1.0.31, results-imagenet.csv"
HE_2015, HE_2016 = "He et al. 2015, Table 6", "He et al. 2016, Table 3"
# Weights that were trained by newer recipes only (torchvision's documentation; timm's a1h).
NEWER = ("resnext101_64x4d", "resnetv2_50", "resnetv2_101")
# Top-1 accuracy in percent on ImageNet (224 pixels, one crop) or, for CIFAR networks, on CIFAR-10.
PUBLISHED = {
    "res2net50_26w_4s": (77.994, TIMM),
    "res2net101_26w_4s": (79.192, TIMM),
    "hrnet_w18": (76.770, TIMM),
    "hrnet_w32": (78.452, TIMM),
    "hrnet_w48": (79.328, TIMM),
    "resnetv2_50": (80.410, f"{TIMM}, recipe a1h"),
    "resnetv2_101": (82.042, f"{TIMM}, recipe a1h"),
    "cifar_resnet20": (100 - 8.75, HE_2015),
    "cifar_resnet32": (100 - 7.51, HE_2015),
    "cifar_resnet44": (100 - 7.17, HE_2015),
    "cifar_resnet56": (100 - 6.97, HE_2015),
    "cifar_resnet110": (100 - 6.61, f"{HE_2015}, mean of 5"),
    "cifar_resnet1202": (100 - 7.93, HE_2015),
    "cifar_preresnet110": (100 - 6.37, f"{HE_2016}, median of 5"),
    "cifar_preresnet164": (100 - 5.46, f"{HE_2016}, median of 5"),
    "cifar_preresnet1001": (100 - 4.92, f"{HE_2016}, median of 5"),
    "wrn28_10": (100 - 4.00, "Zagoruyko & Komodakis 2016, median of 5"),
}


def main() -> None:
    """Measure all and write the table."""
    stops = [f"cifar_resnet{6 * n + 2}" for n in CIFAR_STOPS]
    with PATH.open("w", newline="") as file:
        write = csv.writer(file, lineterminator="\n")
        write.writerow(COLUMNS)
        for name in dict.fromkeys([*rx.list_models(), *stops, "vgg16", "vgg19"]):
            write.writerow(row(name, *open_network(name)))
            print(name, file=sys.stderr)


def row(name: str, model: object, size: tuple[int, ...]) -> tuple[object, ...]:
    """Return one network's line."""
    found = rx.describe(model, size)
    field = "" if found.receptive_field is None else max(found.receptive_field)
    accuracy, newer, source = published(name)
    family = "CIFAR" if size[-1] == 32 else "ImageNet"
    return (name, family, found.depth, found.parameters, found.macs, field, accuracy, newer, source)


def published(name: str) -> tuple[object, object, str]:
    """Return accuracy, that of a newer training recipe, and the source; "" for what there is none of."""
    if name in PUBLISHED:
        accuracy, source = PUBLISHED[name]
        first, second = round(accuracy, 3), ""
    else:
        from torchvision.models import get_model_weights, list_models

        if name not in list_models():
            return "", "", ""
        found = {w.name: w.meta["_metrics"]["ImageNet-1K"]["acc@1"] for w in get_model_weights(name)}
        first, second = found["IMAGENET1K_V1"], found.get("IMAGENET1K_V2", "")
        source = "torchvision, meta of its weights"
    return ("", first, source) if name in NEWER else (first, second, source)


if __name__ == "__main__":
    main()
