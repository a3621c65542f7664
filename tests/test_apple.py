"""All that we measure and train, on a stand-in for an Apple chip: nothing here has run on a real one.

The stand-in refuses what an Apple chip refuses and computes as the processor does. Tensors of two devices in
one operation are refused on CUDA in the same way, so this holds for GPUs too.
"""

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import resnet_explore as rx
from resnet_explore.analysis.explain.answers import read_answer
from resnet_explore.analysis.explain.methods.cams import eigen_cam
from resnet_explore.analysis.explain.methods.registry import BLOCKS, PIXELS, TRIALS, methods
from resnet_explore.analysis.explain.scoring import verdict
from resnet_explore.analysis.explain.scoring.sanity import agreement
from resnet_explore.analysis.explain.targets import Difference, Region
from resnet_explore.models.threads import one_thread
from resnet_explore.training.live import LiveTraining
from resnet_explore.training.runs import RunFolder, load_tensors
from resnet_explore.training.trainer import train_run
from resnet_explore.widgets.catalog.images import Images
from resnet_explore.widgets.catalog.networks import own_networks
from resnet_explore.widgets.core.runner import Runner, Task
from resnet_explore.widgets.saliency.jobs import Explain
from resnet_explore.widgets.saliency.lab import SaliencyLab
from tests.apple import MPS, OnMps, apple_chip, from_mps

IMAGES = torch.randn(3, 3, 16, 24, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([1, 2, 7])
FEW = {
    "smoothgrad": {"samples": 2},
    "gradient_shap": {"samples": 2},
    "integrated_gradients": {"steps": 3},
    "occlusion": {"window": 8, "stride": 8},
}


@pytest.fixture(scope="module")
def network():
    net = rx.build("cifar_resnet8", seed=0).train()
    with torch.no_grad():  # its running statistics are then those of some images
        net(torch.randn(16, 3, 16, 24, generator=torch.Generator().manual_seed(1)))
    return net.eval()


def both(measure, network):
    """Return what a measurement finds on the processor and on the stand-in, as the arrays in it."""
    here = measure(copy.deepcopy(network), IMAGES, LABELS)
    with apple_chip():
        there = copy.deepcopy(network).to("mps")
        found = measure(there, IMAGES.to("mps"), LABELS.to("mps"))
        assert all(tensor.device == MPS for tensor in there.state_dict().values()), "it stays where it was"
    return list(arrays(here)), list(arrays(found))


def arrays(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, torch.Tensor):
        yield from_mps(value).detach().double().numpy()
    elif isinstance(value, (np.ndarray, float, int)):
        value = np.asarray(value)
        if value.dtype.kind in "fiu":
            yield value
    elif isinstance(value, Mapping):
        yield from arrays(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from arrays(part)
    elif dataclasses.is_dataclass(value):
        yield from arrays([getattr(value, field.name) for field in dataclasses.fields(value)])


# --- the stand-in itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refused", "error", "words"),
    [
        (lambda x: x.double(), TypeError, "float64"),
        (lambda x: x.to("cpu", torch.float64), TypeError, "float64"),
        (lambda x: torch.zeros(2, device=x.device, dtype=torch.float64), TypeError, "float64"),
        (lambda x: x + torch.ones(3, 1), RuntimeError, "same device"),
        (lambda x: nn.functional.linear(x, torch.ones(2, 3)), RuntimeError, "same device"),
        (lambda x: torch.linalg.eigh(x @ x.mT), NotImplementedError, "_linalg_eigh"),
        (lambda x: x.numpy(), RuntimeError, "numpy"),
        (lambda x: np.asarray(x), RuntimeError, "numpy"),
    ],
)
def test_the_stand_in_refuses_what_an_apple_chip_refuses(refused, error, words):
    with apple_chip():
        x = torch.arange(6.0).reshape(2, 3).to("mps")
        with pytest.raises(error, match=words):
            refused(x)


def test_the_stand_in_computes_as_the_processor():
    with apple_chip():
        x = torch.arange(6.0).reshape(2, 3).to("mps").requires_grad_()
        y = x * 2 + torch.ones(2, 3, device=x.device)
        y[range(2), [0, 2]] = 0.0
        (y**2).sum().backward()
        assert x.grad.device == MPS
        assert x.grad.tolist() == [[0, 12, 20], [28, 36, 0]]
        assert isinstance(x.grad.cpu(), torch.Tensor)
        assert not isinstance(x.grad.cpu(), OnMps)


# --- analysis ----------------------------------------------------------------------------------------------


def captured(keep):
    def capture(model, images, _labels):
        with rx.Capture(model, gradients=True, keep=keep) as seen:
            model(images)[:, 0].sum().backward()
        return [dict(seen.outputs), dict(seen.gradients)]

    return capture


def recorded(model, images, labels):
    optimizer = torch.optim.SGD(model.train().parameters(), lr=0.1, momentum=0.9)
    with rx.GradientRecorder(model, optimizer) as seen:
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
    return seen.norms


def trained_live(model, images, labels):
    LiveTraining(model, images, labels, lr=0.1, batch_size=2).take(3)
    return list(model.state_dict().values())


MEASUREMENTS = {
    "gradient_flow": lambda m, x, y: [rx.gradient_flow(m, x, y, mode=mode) for mode in ("train", "eval")],
    "sample_gradients": lambda m, x, y: [rx.sample_gradients(m, x, y, mode=k) for k in ("train", "eval")],
    "jacobian_spectra": lambda m, x, y: rx.jacobian_spectra(
        m, x[:1, :, :8, :6], ["layer2.0"], mode="eval", steps=3, probes=1
    ),
    "input_gradients": lambda m, x, y: rx.input_gradients(m, x),
    "skip_ratios": lambda m, x, y: rx.skip_ratios(m, x),
    "layer_statistics": lambda m, x, y: rx.layer_statistics(m, [(x, y), (x, y)]),
    "feature_maps": lambda m, x, y: rx.feature_maps(m, x),
    "residual_stream": lambda m, x, y: rx.residual_stream(m, x),
    "capture": captured(None),
    "capture, small": captured("thumbnails"),
    "capture, 8 bits": captured(rx.Keep(dtype=torch.uint8)),
    "recorder": recorded,
    "live training": trained_live,
    "classes": lambda m, x, y: rx.class_activation_maps(m, x, y),
    "difference": lambda m, x, y: rx.class_activation_maps(m, x, Difference(1, 2)),
    **{f"map {k}": lambda m, x, y, k=k: rx.class_activation_maps(m, x, method=k) for k in methods(BLOCKS)},
    **{
        f"map {k}": lambda m, x, y, k=k: rx.class_activation_maps(m, x[:1], layers=["layer3.0"], method=k)
        for k in methods(TRIALS)
    },
    **{k: lambda m, x, y, k=k: rx.attribute(m, x, method=k, **FEW.get(k, {})) for k in methods(PIXELS)},
}


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_measurements_are_the_processors(network, name):
    here, there = both(MEASUREMENTS[name], network)
    assert len(here) == len(there) > 0
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-6 * max(1e-30, np.abs(one).max(initial=0)))


@pytest.mark.parametrize("metric", verdict.METRICS)
def test_verdicts_are_the_processors(network, metric):
    def judged(model, images, _labels):
        [found] = rx.judge(model, images[:2], "grad_cam", metrics=[metric], draws=2).values()
        return [found.value, found.random, found.centre]

    here, there = both(judged, network)
    np.testing.assert_allclose(there, here, rtol=1e-4)


@pytest.mark.parametrize(
    ("view", "method"),
    [("blocks", "grad_cam"), ("blocks", "saliency"), ("weights", "grad_cam"), ("parts", "grad_cam")],
)
def test_what_the_saliency_explorer_draws_lies_with_the_processor(network, view, method):
    """A person's network may lie on the device; the explorer's photos never do."""

    def explained(model, _images, _labels):
        lab = SaliencyLab({"own": own_networks(model)}, Images(IMAGES[:1]))
        job = Explain("own", 0, "image-0", method, view, lab=lab)
        found = job.run(Task(job, Runner(print, print, str)))
        return {name: [*one.maps.values(), one.answer.shares] for name, (one,) in found.positions.items()}

    here, there = both(explained, network)
    assert len(here) == len(there)
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-6 * np.abs(one).max())
    with apple_chip():
        found = explained(copy.deepcopy(network).to("mps"), None, None)
    assert not any(isinstance(tensor, OnMps) for tensors in found.values() for tensor in tensors)


def test_the_answer_of_a_segmentation_is_read_on_the_processor():
    logits = torch.randn(1, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    with apple_chip():
        found = read_answer(logits.to("mps"), (5, 7))
    true = read_answer(logits, (5, 7))
    assert torch.equal(found.shares, true.shares)
    assert torch.equal(found.labels, true.labels)


def test_a_region_is_asked_about_with_a_mask_on_the_device():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))

    def asked(model, images, _labels):
        return rx.class_activation_maps(model, images, Region(1, images[0, 0] > 0), layers=["1"])

    here, there = both(asked, net)
    np.testing.assert_allclose(there[0], here[0], rtol=1e-5)


@pytest.mark.parametrize("shape", [(2, 5, 6, 4), (2, 30, 4, 5)])
def test_eigen_cam_finds_its_vectors_on_the_processor(shape):
    maps = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with apple_chip():
        found = eigen_cam(maps.to("mps"), None)
        assert found.device == MPS
    assert torch.equal(from_mps(found), eigen_cam(maps, None))


def test_maps_on_the_device_are_compared():
    maps = [torch.rand(2, 9, 8, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    with apple_chip():
        found = agreement([m.to("mps") for m in maps])
    np.testing.assert_allclose(found, agreement(maps))


def test_drawing_while_measuring_leaves_the_chips_random_state(network):
    net = nn.Sequential(copy.deepcopy(network), nn.Dropout(0.5))
    with apple_chip():
        net.to("mps")
        state = torch.mps.get_rng_state()
        rx.gradient_flow(net, IMAGES.to("mps"), LABELS, mode="train")
        assert torch.equal(torch.mps.get_rng_state(), state)


# --- training ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return rx.load_dataset("digits"), rx.load_dataset("digits", split="test")


def run_of(**changes):
    fields = {"depths": (8,), "kinds": ("residual",), "epochs": 2, "width": 2, "batch_size": 256}
    return rx.Sweep(**{**fields, **changes}).runs()[0]


@pytest.mark.parametrize("augment", ["none", "crop", "zoom"])
@pytest.mark.training
def test_a_run_trained_there_is_the_processors(tmp_path, digits, augment):
    run = run_of(augment=augment, keep_steps=(3,))
    with one_thread():
        train_run(run, *digits, tmp_path / "cpu", accelerator="cpu")
        with apple_chip():
            train_run(run, *digits, tmp_path / "mps", accelerator="mps")
    for name in ("checkpoint.safetensors", "step-3.safetensors"):
        here, there = (load_tensors(tmp_path / kind / name)[0] for kind in ("cpu", "mps"))
        for key, tensor in here.items():
            torch.testing.assert_close(there[key], tensor, rtol=1e-3, atol=1e-3)
    here, there = (RunFolder(tmp_path / kind).layer_rows() for kind in ("cpu", "mps"))
    first, other = next(iter(here)), next(iter(there))
    assert other["gradient_norm"] == pytest.approx(first["gradient_norm"], rel=1e-3)


@pytest.mark.training
def test_a_run_stopped_there_ends_bit_equal_and_goes_on_elsewhere(tmp_path, digits):
    run, ends = run_of(), {}
    for name, stop_after in (("whole", 99), ("stopped", 7), ("moved", 7)):
        left = iter(range(stop_after))
        with one_thread(), apple_chip():
            done = train_run(run, *digits, tmp_path / name, lambda left=left: next(left, None) is None, "mps")
            assert done == (name == "whole")
            if name == "stopped":
                assert train_run(run, *digits, tmp_path / name, accelerator="mps")
        if name == "moved":
            with one_thread():
                assert train_run(run, *digits, tmp_path / name, accelerator="cpu")
        ends[name] = load_tensors(tmp_path / name / "checkpoint.safetensors")[0]
    assert all(torch.equal(ends["stopped"][key], tensor) for key, tensor in ends["whole"].items())
    for key, tensor in ends["whole"].items():
        torch.testing.assert_close(ends["moved"][key], tensor, rtol=1e-3, atol=1e-3)
