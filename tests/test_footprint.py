"""What a pass will need, foretold from shapes, against what it did need by torch's own account."""

from itertools import accumulate

import pytest
import torch
import torchvision
from torch.profiler import ProfilerActivity, profile

import resnet_explore as rx
from resnet_explore.analysis.activations.feature_maps import feature_maps
from resnet_explore.analysis.activations.memory import footprint, foretold
from resnet_explore.models.memory import free_memory, in_words

IMAGES = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def measured_peak(run):
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler, torch.no_grad():
        run()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    return max(accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())))


@pytest.mark.parametrize(
    "make",
    [
        torchvision.models.resnet18,
        torchvision.models.vgg11,
        lambda: torchvision.models.DenseNet(8, (2, 2), 16),
        torchvision.models.mobilenet_v3_small,
        lambda: rx.build("cifar_resnet20"),
    ],
    ids=["resnet18", "vgg11", "densenet", "mobilenet", "cifar"],
)
def test_running_is_what_a_pass_takes(make):
    model = make().eval()
    found = footprint(model, IMAGES)
    taken = measured_peak(lambda: model(IMAGES))
    weight = max(p.numel() * p.element_size() for p in model.parameters() if p.ndim == 4)
    assert found.running <= 1.01 * taken
    assert taken <= found.running / 0.8 + weight, "a convolution lays out its weights anew"
    assert footprint(model, IMAGES[:1]).running * 2 == found.running


def test_kept_is_what_feature_maps_keeps():
    model = rx.build("cifar_resnet8")
    maps = feature_maps(model, IMAGES, largest=24)
    kept = sum(4 * part.size for m in maps.values() for part in (m.maps, m.skip, m.branch))
    assert footprint(model, IMAGES, largest=24).kept == kept
    assert footprint(model, IMAGES).kept == feature_maps(model, IMAGES).nbytes


def test_channels_that_come_last_are_not_taken_for_a_side():
    model = torchvision.models.SwinTransformer([4, 4], 64, [1, 1], [1, 2], [3, 3], num_classes=3)
    maps = feature_maps(model, IMAGES, largest=8)
    assert maps.side == 8
    kept = sum(4 * 3 * m.maps.size for m in maps.values())
    # Sides are rounded up to whole pixels.
    assert 0.8 * kept <= footprint(model, IMAGES, largest=8).kept <= 1.5 * kept


def test_a_huge_input_is_refused_before_any_memory_is_spent(monkeypatch):
    model = rx.build("cifar_resnet8")
    assert foretold(model, IMAGES) == "", "nothing is said of little"
    monkeypatch.setattr("resnet_explore.analysis.activations.memory.free_memory", lambda _: 10**9)
    # Its numbers would be 14 TB; this tensor holds one.
    huge = torch.zeros(1).expand(2, 3, 600_000, 1_000_000)
    with pytest.raises(rx.ExploreError, match=r"about [\d.,]+ GB of memory .* 1\.0 GB are free, so"):
        foretold(model, huge)


def test_what_can_not_be_foretold_is_left_to_the_run(monkeypatch):
    net = torch.nn.Sequential(torch.nn.Conv2d(4, 2, 3))  # takes no such images
    monkeypatch.setattr("resnet_explore.analysis.activations.memory.free_memory", lambda _: IMAGES.nbytes)
    assert foretold(net, IMAGES) == ""
    monkeypatch.setattr("resnet_explore.analysis.activations.memory.free_memory", lambda _: IMAGES.nbytes - 1)
    with pytest.raises(rx.ExploreError, match="needs about 0 MB of memory for images of shape"):
        foretold(net, IMAGES)


def test_a_container_gives_no_more_than_its_share(monkeypatch, tmp_path):
    monkeypatch.setattr("resnet_explore.models.memory._GROUP", tmp_path)
    assert free_memory(torch.device("cpu")) > 10**6
    (tmp_path / "memory.current").write_text("600\n")
    (tmp_path / "memory.max").write_text("1000\n")
    assert free_memory(torch.device("cpu")) == 400
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(torch.device("cpu")) > 10**6


def test_bytes_in_words():
    assert [in_words(n) for n in (4e5, 3.4e8, 2.06e9)] == ["0 MB", "340 MB", "2.1 GB"]
