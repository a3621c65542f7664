import io
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import resnet_explore as rx
from resnet_explore.analysis.capture.layers import norms_of
from resnet_explore.figures.gradients import FLOOR, decades, gradient_heatmap


def network(seed=0, depth=8):
    return rx.build(f"cifar_resnet{depth}", seed=seed, widths=(2, 4, 4), in_channels=1)


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(8, 1, 8, 8, generator=generator), torch.randint(10, (8,), generator=generator)


def train(model, optimizer, steps, note=None):
    """Somebody else's loop: it knows nothing of us."""
    model.train()
    for step in range(steps):
        images, labels = batch(step)
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        if note is not None:
            note.append(
                [
                    m.weight.grad.norm().item()
                    for m in model.modules()
                    if isinstance(m, (nn.Conv2d, nn.Linear))
                ]
            )
        optimizer.step()


def test_a_plain_loop_is_recorded_and_not_changed():
    model, twin, truth = network(), network(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    recorder = rx.GradientRecorder(model, optimizer)
    assert repr(recorder) == "GradientRecorder: no step yet of 8 layers noted"
    train(model, optimizer, 5, truth)
    np.testing.assert_allclose(recorder.norms, truth, rtol=1e-5)
    assert recorder.steps.tolist() == [0, 1, 2, 3, 4]
    assert recorder.names[0] == "conv1"
    assert recorder.trouble == ""
    assert repr(recorder) == "GradientRecorder: 5 steps, 0 to 4, of 8 layers noted"
    recorder.close()
    train(model, optimizer, 2)
    assert len(recorder.steps) == 5
    other = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    train(twin, other, 5)
    train(twin, other, 2)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_every_so_manieth_step_and_more_steps_than_wait_on_the_device():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(net.parameters())
    with rx.GradientRecorder(net, optimizer, every=2) as recorder:
        train(net, optimizer, 200)
    assert recorder.steps.tolist() == list(range(0, 200, 2))
    table = recorder.table()
    assert table.columns.tolist() == ["step", "position", "layer", "gradient_norm"]
    assert table["gradient_norm"].tolist() == recorder.norms.ravel().tolist()
    assert set(table["layer"]) == {"1"}


@pytest.mark.filterwarnings("ignore")  # Lightning's own, of other libraries and of few workers
def test_a_lightning_trainer(tmp_path):
    lightning = pytest.importorskip("pytorch_lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.truth = network(), []

        def training_step(self, pair, index):
            return F.cross_entropy(self.net(pair[0]), pair[1])

        def on_after_backward(self):
            convolutions = [m for m in self.net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
            self.truth.append([m.weight.grad.norm().item() for m in convolutions])

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            self.recorder = rx.GradientRecorder(self, optimizer)
            return optimizer

    module = Module()
    trainer = lightning.Trainer(
        max_steps=4, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    images, labels = (torch.cat(parts) for parts in zip(*(batch(step) for step in range(4)), strict=True))
    trainer.fit(module, DataLoader(TensorDataset(images, labels), batch_size=8))
    assert module.recorder.steps.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(module.recorder.norms, module.truth, rtol=1e-5)
    assert module.recorder.names[0] == "net.conv1"


def test_fabric():
    from resnet_explore.training.fabric import Fabric  # not when tests are collected: it takes seconds

    fabric = Fabric(accelerator="cpu", devices=1)
    net = network()
    model, optimizer = fabric.setup(net, torch.optim.SGD(net.parameters(), lr=0.1))
    recorder = rx.GradientRecorder(net, optimizer)
    images, labels = batch()
    optimizer.zero_grad()
    fabric.backward(F.cross_entropy(model(images), labels))
    optimizer.step()
    assert recorder.norms.shape == (1, 8)
    assert recorder.norms[0, 0] == pytest.approx(net.conv1.weight.grad.norm().item(), rel=1e-5)


def test_the_heatmap_is_written_with_its_numbers(tmp_path):
    runs = {}
    for kind in ("plain", "residual"):
        model = rx.build(
            f"cifar_{'plain' if kind == 'plain' else 'resnet'}8", widths=(2, 4, 4), in_channels=1
        )
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        runs[kind] = rx.GradientRecorder(model, optimizer)
        assert runs[kind]._repr_png_() is None
        with pytest.raises(rx.ExploreError, match="This run has recorded no step yet: train first"):
            runs[kind].write(tmp_path / "nothing.png")
        train(model, optimizer, 3)
    picture, numbers = runs["plain"].write(
        tmp_path / "run.png", "noise, batch 8", "plain", {"residual": runs["residual"]}
    )
    with Image.open(picture) as image:
        assert image.size[0] > 1000
    text = numbers.read_text().splitlines()
    assert text[1].startswith(
        "# conditions: Norm of each layer's weight gradient, 8 layers, every step noted; "
    )
    assert text[1].endswith("; noise, batch 8.")
    assert text[2].replace('"', "") == "step,position,layer,gradient_norm"
    assert len(text) == 3 + 3 * 8
    assert Image.open(io.BytesIO(runs["plain"]._repr_png_())).size[0] > 1000
    with pytest.raises(rx.ExploreError, match="can't be written"):
        runs["plain"].write(tmp_path / "no such folder" / "run.png")
    assert runs["plain"].write(tmp_path / "bare") == [tmp_path / "bare.png", tmp_path / "bare.csv"]
    for wrong in ("run.xyz", "run.csv", "run.svg"):
        with pytest.raises(rx.ExploreError, match=rf"written as \.png, not as \{wrong[3:]}\."):
            runs["plain"].write(tmp_path / wrong)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare.csv", "bare.png", "run.csv", "run.png"]


def test_where_a_gradient_first_stops_being_finite():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = rx.GradientRecorder(model, optimizer)
    train(model, optimizer, 2)
    images, labels = batch()
    optimizer.zero_grad()
    (F.cross_entropy(model(images), labels) * math.nan).backward()
    optimizer.step()
    assert repr(recorder).endswith(f"layers noted. {recorder.trouble}")
    assert recorder.trouble == (
        "The gradient of every layer stops being finite at step 2: the loss itself is not a number."
    )
    assert recorder._repr_png_() is not None

    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = rx.GradientRecorder(model, optimizer)
    F.cross_entropy(model(images), labels).backward()
    for layer in (model.conv1, model.layer1[0].conv1):
        layer.weight.grad.fill_(math.inf)
    optimizer.step()
    assert recorder.trouble == (
        "The gradient stops being finite at step 0, backward from layer1.0.conv1 on: 2 of 8 layers."
    )


def test_what_cannot_be_recorded():
    model, optimizer = network(), torch.optim.SGD(network().parameters(), lr=0.1)
    with pytest.raises(rx.ExploreError, match="The optimizer holds no weight of the model's"):
        rx.GradientRecorder(model, optimizer)
    with pytest.raises(rx.ExploreError, match="every must be a whole number of at least 1, not 0"):
        rx.GradientRecorder(model, torch.optim.SGD(model.parameters()), every=0)
    model.layer1.requires_grad_(False)  # frozen: kept in the picture, as layers without a number
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = rx.GradientRecorder(model, optimizer)
    images, labels = batch()
    F.cross_entropy(model(images), labels).backward()
    optimizer.step()
    assert np.isnan(recorder.norms[0]).tolist() == [False, True, True, False, False, False, False, False]
    assert recorder.trouble == ""


# --- figures -----------------------------------------------------------------------------------------------


def test_limits_are_whole_decades_around_what_can_be_drawn():
    assert decades([0.02, 30]) == (1e-2, 1e2)
    assert decades([3.0]) == (1e0, 1e2) or decades([3.0])[1] / decades([3.0])[0] == pytest.approx(100)
    assert decades([0, math.nan, math.inf]) == (1e-3, 1e3)
    assert decades([FLOOR / 10, 5, 1e12]) == decades([5])


def test_a_heatmap_puts_layers_up_and_steps_along_with_one_scale():
    norms = np.full((4, 6), 1e0)
    norms[0, 0], norms[3, 5], norms[1, 2] = 1e3, 1e-3, math.nan
    figure = gradient_heatmap(
        {"plain": (np.arange(4), norms), "residual": (np.arange(4), norms / 10)}, (1e-3, 1e3)
    )
    images = [ax.images[0] for ax in figure.axes if ax.images]
    assert len(images) == 2
    assert all(image.get_clim() == (-3, 3) for image in images)
    data = images[0].get_array()
    assert data.shape == (6, 4)
    assert data[0, 0] == 3
    assert data[5, 3] == -3
    assert data.mask[2, 1]
    assert images[0].origin == "lower"


def test_a_spike_among_thousands_of_steps_is_not_lost():
    norms = np.ones((9001, 3))
    norms[4567, 1] = 1e6
    figure = gradient_heatmap({"plain": (np.arange(9001), norms)}, (1e-3, 1e3))
    data = figure.axes[0].images[0].get_array()
    assert data.shape[1] <= 2000
    assert data.max() == 6


def test_a_recorder_says_what_it_knows_of_the_conditions():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = rx.GradientRecorder(model, optimizer)
    train(model, optimizer, 1)
    assert recorder.known == "train mode; batch norm; SGD, rate 0.1 at first"


def test_normalisations_in_words():
    assert norms_of(network()) == "batch norm"
    assert norms_of(nn.Sequential(nn.Linear(2, 3), nn.ReLU())) == "no norm"
    both = nn.Sequential(nn.GroupNorm(1, 4), nn.LayerNorm(3), nn.GroupNorm(2, 4), nn.RMSNorm(3))
    assert norms_of(both) == "group norm and layer norm and RMSNorm"
