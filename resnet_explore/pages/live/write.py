"""Write the page: one HTML file with script, style and facts inside, beside it networks and runtime."""

import base64
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from resnet_explore import __version__
from resnet_explore.analysis.topology.blocks_of import blocks_of
from resnet_explore.errors import ExploreError
from resnet_explore.figures.mosaic import LOOKUP
from resnet_explore.inputs.datasets import load_dataset
from resnet_explore.inputs.images import sample_photos, square_crop
from resnet_explore.models.presets import build
from resnet_explore.models.resnet import ResNet
from resnet_explore.pages.live.runtime import FILES, VERSION
from resnet_explore.paths import PACKAGE
from resnet_explore.widgets.browser.bundle import STYLE, bundle
from resnet_explore.widgets.core.heatmap_panel import palettes

HERE = Path(__file__).parent
ENTRY = "pages/browser/live/live.js"
DEPTHS = {"digits": (20, 56), "cifar10": (20,)}
"""Which twins run on the page, by data. Those of Imagenette would be 11 MB, too much to wait for."""

_FREE = ("CC0", "public domain")  # photos that may be shown without more ado
_KINDS = {"plain": "Plain", "resnet": "Residual"}


def write_live(folder: Path, runtime: Path) -> None:
    """Write the page into a folder, which any web host can serve: `index.html`, `networks/` and `runtime/`.

    runtime  the folder with onnxruntime-web, as `fetch_runtime` returns it

    Raises ExploreError without the extra `site` and where trained weights are missing.
    """
    for name in ("networks", "runtime"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, here in FILES.items():
        shutil.copyfile(runtime / name, folder / "runtime" / here)
    twins = {f"{data}-{depth}": _twins(folder, data, depth) for data in DEPTHS for depth in DEPTHS[data]}
    weight = sum((runtime / name).stat().st_size for name in FILES)
    page = (HERE / "page.html").read_text(encoding="utf-8")
    script = bundle(ENTRY, PACKAGE).replace("export default", "const live =") + "live.start();\n"
    parts = {
        "style": STYLE.read_text(encoding="utf-8") + (HERE / "live.css").read_text(encoding="utf-8"),
        "facts": json.dumps(_facts(twins, weight), ensure_ascii=False).replace("</", "<\\/"),
        "script": script,
    }
    for name, text in parts.items():
        page = page.replace(f"/*{name}*/", text, 1)
    (folder / "index.html").write_text(page, encoding="utf-8")


def _twins(folder: Path, data: str, depth: int) -> list[Mapping[str, Any]]:
    return [_written(folder, kind, data, depth) for kind in _KINDS]


def _written(folder: Path, kind: str, data: str, depth: int) -> Mapping[str, Any]:
    """Write one network and return what the page has to know of it."""
    network = build(f"cifar_{kind}{depth}", weights=data).eval()
    if not isinstance(network, ResNet):
        raise TypeError(f"cifar_{kind}{depth} is no ResNet.")
    content = _exported(network)
    file = f"networks/{data}-{kind}{depth}.onnx"
    (folder / file).write_bytes(content)
    about = network.about
    blocks = [
        {
            "number": k,
            "name": block.name,
            "stage": block.stage,
            "takes": block.takes,
            "shape": block.gives,
            "skip": block.skip if block.sums else "",
            "goes": block.can_go,
        }
        for k, block in enumerate(blocks_of(network, tuple(about["input_size"])), 1)
    ]
    return {
        "name": f"{_KINDS[kind]}-{depth}",
        "color": "plain" if kind == "plain" else "residual",
        "file": file,
        "bytes": len(content),
        "blocks": blocks,
        "weight": [_numbers(row) for row in network.fc.weight],
        "test_error": about["test_error"],
        "data": about["data"],
        "provenance": about["provenance"],
    }


def _numbers(values: Tensor) -> list[float]:
    """Return float32 for JSON, as short as they are known again by."""
    return [float(f"{value:.9g}") for value in values.tolist()]


def _exported(network: ResNet) -> bytes:
    try:
        from resnet_explore.pages.live.export import to_onnx
    except ModuleNotFoundError as missing:
        raise ExploreError(
            f"The live page needs {missing.name}, which `pip install 'resnet-explore[site]'` brings."
        ) from None
    return to_onnx(network).SerializeToString()


def _facts(twins: Mapping[str, Any], runtime_bytes: int) -> Mapping[str, Any]:
    """Return all that the page knows before a network is there."""
    kinds = {data: _form(data, depths) for data, depths in DEPTHS.items()}
    kinds["digits"]["samples"], kinds["cifar10"]["samples"] = _digits(), _photos(kinds["cifar10"]["side"])
    colors = [
        {"name": p.name, "plus": p.plus, "minus": p.minus, "colors": _bytes(p.colors)} for p in palettes()
    ]
    return {
        "version": __version__,
        "runtime": f"onnxruntime-web {VERSION}",
        "runtime_bytes": runtime_bytes,
        "kinds": kinds,
        "twins": twins,
        "palettes": colors,
        "lookup": _bytes(LOOKUP),
    }


def _form(data: str, depths: tuple[int, ...]) -> dict[str, Any]:
    about = build(f"cifar_resnet{depths[0]}", weights=data).about
    return {
        "depths": depths,
        "side": about["input_size"][-1],
        "mean": about["mean"],
        "std": about["std"],
        "classes": about["classes"],
    }


def _digits() -> list[Mapping[str, Any]]:
    """Return the first held-out image of each digit: (h, w) of grey, in base64."""
    test = load_dataset("digits", "test")
    firsts = [int((test.labels == k).nonzero()[0]) for k in range(len(test.classes))]
    return [
        {
            "value": f"digit-{k}",
            "label": f"A held-out {k}",
            "is": k,
            "pixels": _bytes(test.images[i, 0].numpy()),
        }
        for k, i in enumerate(firsts)
    ]


def _photos(side: int) -> list[Mapping[str, Any]]:
    """Return sample photos as the networks see them: (h, w, 3), in base64."""
    found: list[Mapping[str, Any]] = []
    for photo in sample_photos().values():
        if photo.credit.endswith(_FREE):
            seen = np.asarray(square_crop(photo.load(), side))
            found.append(
                {"value": photo.name, "label": photo.title, "credit": photo.credit, "pixels": _bytes(seen)}
            )
    return found


def _bytes(array: np.ndarray) -> Mapping[str, Any]:
    """Return a uint8 array for JSON."""
    content = np.ascontiguousarray(array, np.uint8)
    return {"base64": base64.b64encode(content.tobytes()).decode(), "shape": list(content.shape)}
