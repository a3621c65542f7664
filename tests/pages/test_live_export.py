"""The networks of the live page: in ONNX they give what torch gives, also edited."""

import json
import re

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import resnet_explore as rx
from resnet_explore.analysis.topology.blocks_of import blocks_of
from resnet_explore.errors import ExploreError
from resnet_explore.inputs.images import sample_photos, to_batch
from resnet_explore.pages.live import runtime
from resnet_explore.pages.live.export import keeps_shape, to_onnx
from resnet_explore.pages.live.write import DEPTHS, write_live

NETWORKS = [
    (f"cifar_{kind}{d}", data) for data in DEPTHS for d in DEPTHS[data] for kind in ("plain", "resnet")
]
OTHERS = [("plain18", "imagenette"), ("resnet18", "imagenette")]  # with projections and a pool


def images_for(network):
    if network.about["input_size"][0] == 1:
        return rx.load_dataset("digits", "test").normalized(slice(0, 16))
    side, mean, std = network.about["input_size"][-1], network.about["mean"], network.about["std"]
    photos = list(sample_photos().values())[:3]
    return torch.cat([to_batch(photo.load(), side, mean, std) for photo in photos])


def session(network):
    return onnxruntime.InferenceSession(to_onnx(network).SerializeToString())


def run(graph, images, skip, branch):
    vectors = {"skip": np.array(skip, np.float32), "branch": np.array(branch, np.float32)}
    logits, *blocks = graph.run(None, {"image": images.numpy(), **vectors})
    return logits, blocks


def seen_by_torch(network, images):
    """Return the logits and what each block gives."""
    given, handles = [], []
    for block in network.blocks:
        handles.append(block.register_forward_hook(lambda _m, _a, output: given.append(output.numpy())))
    try:
        with torch.no_grad():
            return network(images).numpy(), given
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize(("model", "data"), NETWORKS + OTHERS)
def test_logits_and_blocks_are_torchs_unedited_turned_and_with_blocks_deleted(model, data):
    network = rx.build(model, weights=data).eval()
    images, graph, blocks = images_for(network), session(network), blocks_of(network)
    residual, count = network.config.residual, len(blocks)
    assert [block.can_go for block in blocks] == [residual or keeps_shape(block) for block in network.blocks]
    usual = float(residual)

    def agrees(expected, found):
        assert np.abs(expected[0] - found[0]).max() < 1e-4
        for one, other in zip(expected[1], found[1], strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-4 * max(1, np.abs(one).max()))

    agrees(seen_by_torch(network, images), run(graph, images, [usual] * count, [1] * count))
    gone = {k for k in (1, count // 2, count - 1) if blocks[k].can_go}
    names, skip = [blocks[k].name for k in sorted(gone)], [usual] * count
    kept = [float(k not in gone) for k in range(count)]
    if not residual:
        skip = [float(k in gone) for k in range(count)]
    with rx.edited(network, delete=names):
        agrees(seen_by_torch(network, images), run(graph, images, skip, kept))
    if residual:
        turned = [0.7] * count
        turned[2] = 0.0
        with rx.edited(network, delete=names, skip={"*": 0.7, blocks[2].name: 0.0}):
            agrees(seen_by_torch(network, images), run(graph, images, turned, kept))


@pytest.mark.parametrize("model", ["cifar_plain20", "cifar_resnet20"])
def test_images_need_be_neither_square_nor_of_the_size_of_the_training(model):
    network = rx.build(model, weights="cifar10").eval()
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 27, 44)).astype(np.float32))
    usual = float(network.config.residual)
    with torch.no_grad():
        expected = network(images).numpy()
    assert np.abs(run(session(network), images, [usual] * 9, [1] * 9)[0] - expected).max() < 1e-4


def test_weights_that_are_longer_than_half_precision_stay_as_they_are():
    network = rx.build("cifar_resnet8", seed=3).eval()
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32))
    with torch.no_grad():
        expected = network(images).numpy()
    assert np.abs(run(session(network), images, [1] * 3, [1] * 3)[0] - expected).max() < 1e-4


def test_what_would_be_left_out_in_silence_is_refused():
    for config in ({"gate": "exclusive"}, {"order": "relu_before_add"}, {"skip_scale": 0.5}):
        with pytest.raises(ExploreError, match=next(iter(config))):
            to_onnx(rx.build("cifar_resnet8", **config))
    network = rx.build("cifar_resnet8")
    network.layer1[0].relu1 = nn.GELU()
    with pytest.raises(ExploreError, match="a GELU"):
        to_onnx(network)


# --- the folder ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    stand_in, folder = tmp_path_factory.mktemp("runtime"), tmp_path_factory.mktemp("live")
    for name in runtime.FILES:
        (stand_in / name).write_text(name)
    write_live(folder, stand_in)
    return folder


def test_the_folder_holds_all_that_the_page_asks_for(folder):
    page = (folder / "index.html").read_text()
    facts = json.loads(re.search(r'<script type="application/json" id="facts">(.*?)</script>', page)[1])
    assert not re.search(r'(src|href)="(?!data:)', page), "all else is inside"
    for twins in facts["twins"].values():
        assert [twin["color"] for twin in twins] == ["plain", "residual"]
        for twin in twins:
            assert (folder / twin["file"]).stat().st_size == twin["bytes"] < 600_000
            assert twin["provenance"]
            assert 0 < twin["test_error"] < 100
            assert np.shape(twin["weight"]) == (10, twin["blocks"][-1]["shape"][0])
    assert [sample["is"] for sample in facts["kinds"]["digits"]["samples"]] == list(range(10))
    assert all(s["credit"].endswith(("CC0", "public domain")) for s in facts["kinds"]["cifar10"]["samples"])
    assert sorted(path.name for path in (folder / "runtime").iterdir()) == sorted(runtime.FILES.values())


def test_an_archive_that_is_another_one_is_refused_and_nothing_of_it_kept(tmp_path, monkeypatch):
    with pytest.raises(ExploreError, match="SHA-512"):
        runtime.unpack(b"not what was asked for", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    monkeypatch.setattr(runtime, "_URL", (tmp_path / "nowhere.tgz").as_uri())
    with pytest.raises(ExploreError, match="could not be downloaded"):
        runtime.fetch_runtime(tmp_path / "kept")
