"""Heatmaps without a notebook: image files and folders in, a sheet and the raw maps of each out."""

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_explore import __version__
from resnet_explore.analysis.explain.methods.registry import PIXELS, method_info, methods
from resnet_explore.errors import ExploreError, unknown
from resnet_explore.paths import PHOTO_TWINS, PHOTO_WEIGHTS

_PREFERRED = (PHOTO_WEIGHTS, "cifar10", "digits")
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@dataclass(frozen=True)
class Line:
    """What to tell about one file; `failed` if it could not be read."""

    text: str
    failed: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
    add("images", nargs="+", type=Path, metavar="IMAGE", help="image files, or folders of them")
    add("--model", default=PHOTO_TWINS[1], help="the network (default: %(default)s, as in notebook 03)")
    add("--weights", help="weights by name or file (default: those that ship, else torchvision's)")
    add("--out", type=Path, default=Path("heatmaps"), help="folder to write to (default: %(default)s)")
    add("--method", default="grad_cam", help=f"{', '.join(methods())} (default: %(default)s)")
    add("--layers", nargs="+", metavar="LAYER", help="names or patterns (default: every block)")
    add(
        "--target", metavar="CLASS", help="the class to ask about, by name or number (default: the likeliest)"
    )
    add("--verdict", action="store_true", help="also say whether the heatmap is better than chance")


def explain_files(options: argparse.Namespace) -> Iterator[Line]:
    """Write a .png and a .npz for each image, and tell of each in a line; go on after unreadable ones.

    They are called after the image, the network, the method and, if asked about, the class. The .npz holds
    the raw signed maps, float32 (h, w), by layer ("pixels" for methods that explain pixels), the logits,
    (K,), the class that was asked about, and under "about" a JSON string that says how they were made.
    Raises ExploreError if nothing could be explained.
    """
    from resnet_explore.inputs.images import ImageError, decode_image, remark

    files = _files(options.images, options.out)
    explain = _Explainer(options, files)
    done = 0
    for path, name in files.items():
        try:
            image = decode_image(path)
            text = explain.write(image, path, name)
        except ImageError as error:
            yield Line(f"{path}: {error}", failed=True)
            continue
        except OSError as error:
            raise ExploreError(f"{options.out} can't be written to ({error.strerror}).") from None
        done += 1
        if said := remark(image):
            yield Line(f"{path}: {said}.")
        yield Line(text)
    if not done:
        raise ExploreError(f"None of the {len(files)} files is an image that could be explained.")


def _files(given: list[Path], out: Path) -> dict[Path, Path]:
    """Return each image and the name, without suffix, of what is written for it below `out`.

    Of folders all files with the suffix of an image are taken, at any depth, but for hidden ones and those
    that were written there before. Raises ExploreError if a path is not there or a folder has none.
    """
    from resnet_explore.inputs.folders import SUFFIXES

    found: dict[Path, Path] = {}
    for path in given:
        if not path.exists():
            raise ExploreError(f"There is no file or folder {str(path)!r}.")
        if not path.is_dir():
            found[path] = Path(path.name)
            continue
        inside = {p: p.relative_to(path) for p in sorted(path.rglob("*"))}
        images = {
            p: short
            for p, short in inside.items()
            if p.suffix.lower() in SUFFIXES
            and not any(part.startswith(".") for part in short.parts)
            and not p.resolve().is_relative_to(out.resolve())
            and p.is_file()
        }
        if not images:
            raise ExploreError(f"The folder {str(path)!r} holds no images.")
        found |= images
    stems = [name.with_suffix("") for name in found.values()]
    # Where two would be written to the same place, they keep their suffixes; then they are numbered.
    names, taken = {}, set()
    for path, name in found.items():
        short = name.with_suffix("") if stems.count(name.with_suffix("")) == 1 else name
        number, unique = 1, short
        while unique in taken:
            number += 1
            unique = short.with_name(f"{short.name}-{number}")
        taken.add(unique)
        names[path] = unique
    return names


class _Explainer:
    """One network and one question, for many images."""

    def __init__(self, options: argparse.Namespace, photos: Iterable[Path]) -> None:
        from resnet_explore.models.presets import build, config_of

        self.options, self.method = options, options.method
        self.photos = {path.resolve() for path in photos}  # none of which may be written over
        self.info = method_info(self.method)
        self.pixels = self.info.by == PIXELS
        _not_the_name_of_weights(options.model)
        config = config_of(options.model)
        self.weights = options.weights or _default_weights(options.model)
        self.network = build(options.model, weights=self.weights).eval()
        about: Mapping[str, Any] = self.network.about
        self.classes = [str(c) for c in about.get("classes") or []]
        side = 32 if getattr(config, "stem", "") == "cifar" else 224
        self.size = int(about["input_size"][1]) if "input_size" in about else side
        self.mean, self.std = (about.get(key) or _IMAGENET[key] for key in ("mean", "std"))
        self.target = self._target(options.target)

    def _target(self, asked: str | None) -> int | None:
        if asked is None:
            return None
        if asked.isdigit():
            return int(asked)
        if asked not in self.classes:
            raise unknown("class", asked, self.classes)
        return self.classes.index(asked)

    def write(self, image: Any, path: Path, name: Path) -> str:
        """Explain one image, write what was found, and say it in a line."""
        import numpy as np

        from resnet_explore.figures.heatmap_sheet import heatmap_sheet
        from resnet_explore.figures.style import to_png
        from resnet_explore.inputs.images import square_crop, to_batch

        batch = to_batch(image, self.size, self.mean, self.std)
        maps, logits, target, empty = self._explain(batch)
        sure = float(logits.softmax(0)[target])
        verdicts = self._verdicts(batch, target) if self.options.verdict else []
        stem = self.options.out / name.with_name("-".join([name.name, *self._question]))
        stem.parent.mkdir(parents=True, exist_ok=True)
        for suffix in (".png", ".npz"):
            if (written := Path(f"{stem}{suffix}")).resolve() in self.photos:
                raise ExploreError(f"{written} would be overwritten: choose another folder with --out.")
        arrays = {layer: cam.cpu().numpy().astype(np.float32) for layer, cam in maps.items()}
        about = json.dumps(self._about(path, target), ensure_ascii=False)
        extra = {"logits": logits.cpu().numpy(), "target": np.array(target), "about": np.array(about)}
        np.savez_compressed(Path(f"{stem}.npz"), **arrays, **extra)
        says = "says" if target == int(logits.argmax()) else "asked about"
        shown = self.info.title + ("" if self.info.classes else ", which knows no class")
        title = f"{self.options.model} {says} {self._named(target)} ({sure:.0%}): {shown}"
        caption = (
            f"{path.name}; {self.options.model}, weights {self.weights}, eval mode; seen as "
            f"{self.size}×{self.size} pixels. {self.info.signs('red', 'blue')} {' '.join(verdicts)}"
        )
        picture = np.asarray(square_crop(image, max(self.size, 192)).convert("RGB"))
        figure = heatmap_sheet(picture, arrays, title, caption.strip(), empty, self.info.unit)
        Path(f"{stem}.png").write_bytes(to_png(figure))
        return "\n".join([f"{path}: {self._named(target)} ({sure:.0%}), {stem}.png", *verdicts])

    @property
    def _question(self) -> list[str]:
        """What sets one command's files apart from another's, as words of their names."""
        asked = [self.options.model, *([Path(self.options.weights).stem] if self.options.weights else [])]
        asked += [self.method, *([self.options.target] if self.options.target is not None else [])]
        return [re.sub(r"[^\w.]+", "_", word) for word in asked]

    def _about(self, path: Path, target: int) -> dict[str, str]:
        """Return what is needed to cite the maps and to make them again."""
        about = self.network.about
        return {
            "method": self.info.title,
            "class": self._named(target) if self.info.classes else "none",
            "photo": path.name,
            "network": self.options.model,
            "weights": str(about.get("provenance", self.weights)),
            "data": str(about.get("data", "not said")),
            "unit": self.info.unit,
            "signs": self.info.signs("positive", "negative"),
            "program": f"resnet_explore {__version__}",
        }

    def _explain(self, batch: Any) -> tuple[dict[str, Any], Any, int, dict[str, str]]:
        """Return maps by layer, logits, the class, and which maps have nothing that speaks for it."""
        import torch

        from resnet_explore.analysis.explain.attribution import attribute
        from resnet_explore.analysis.explain.maps import class_activation_maps

        if self.pixels:
            found = attribute(self.network, batch, self.target, self.method)
            with torch.no_grad():
                logits = self.network(batch)[0]
            empty = {"pixels": "nothing for it"} if found.why_empty() else {}
            return {"pixels": found.maps[0]}, logits, int(found.targets[0]), empty
        maps = class_activation_maps(self.network, batch, self.target, self.options.layers, self.method)
        empty = {layer: "nothing for it" for layer in maps if maps.why_empty(layer)}
        return {layer: cam[0] for layer, cam in maps.items()}, maps.logits[0], int(maps.targets[0]), empty

    def _verdicts(self, batch: Any, target: int) -> list[str]:
        from resnet_explore.analysis.explain.scoring.verdict import explainer, judge

        layers = self.options.layers or [None]
        way = explainer(self.method) if self.pixels else explainer(self.method, layers[-1])
        return [str(v) for v in judge(self.network, batch, way, [target], ("deletion", "insertion")).values()]

    def _named(self, target: int) -> str:
        return self.classes[target] if target < len(self.classes) else f"class {target}"


def _not_the_name_of_weights(model: str) -> None:
    from resnet_explore.models.weights import list_weights

    models = [row.model for row in list_weights() if row.weights == model]
    if models:
        raise ExploreError(
            f"{model!r} names weights, not a network: write --model {models[-1]} --weights {model}; "
            f"they ship for {', '.join(models)}."
        )


def _default_weights(model: str) -> str | None:
    """Return the name of trained weights: those that ship with us, so offline, before torchvision's."""
    from resnet_explore.models.weights import list_weights, torchvision_names

    ours = [row.weights for row in list_weights(model) if row.model == model and "@" not in row.weights]
    ours.sort(key=lambda name: _PREFERRED.index(name) if name in _PREFERRED else len(_PREFERRED))
    theirs = torchvision_names(model)
    if not ours and not theirs:
        raise ExploreError(f"There are no trained weights for {model!r}: name a file with --weights.")
    return ours[0] if ours else theirs[-1]
