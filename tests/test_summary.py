"""What `describe` measures, against slow ways to find the same: gradients, saved tensors, pen and paper."""

import copy
import math

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import vgg

import resnet_explore as rx


def depends_on(model, size, steps):
    """Return from where to where one central pixel of the last map looks, in rows and columns of the input.

    All weights are made positive and the largest of a pool becomes their mean, so that no path is lost.
    """
    model = copy.deepcopy(model).double().eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1.0 / module.weight[0].numel())
        if isinstance(module, nn.MaxPool2d):
            mean = nn.AvgPool2d(module.kernel_size, module.stride, module.padding)
            module.forward = mean.forward
    x = torch.ones(1, *size, dtype=torch.double, requires_grad=True)
    out = x
    for step in steps:
        out = model.get_submodule(step)(out)
    out[0, :, out.shape[2] // 2, out.shape[3] // 2].sum().backward()
    seen = x.grad[0].abs().sum(0) > 0
    ends = [seen.any(axis).nonzero().flatten() for axis in (1, 0)]
    return tuple(int(end[-1] - end[0]) + 1 for end in ends)


class Odd(nn.Module):
    """Kernels, strides and dilations that differ along the axes, in two branches: one sees further."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 3, (3, 5), (2, 1), (1, 2), bias=False)
        self.pool = nn.AvgPool2d((1, 2), stride=(1, 3))
        self.near = nn.Conv2d(3, 4, 1, bias=False)
        self.far = nn.Conv2d(3, 4, (5, 3), padding=(8, 2), dilation=(4, 2), bias=False)

    def forward(self, x):
        x = self.pool(self.first(x))
        return self.near(x) + self.far(x)


class Last(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)


@pytest.mark.parametrize(
    ("model", "size", "steps"),
    [
        (lambda: Last(Odd()), (2, 90, 120), ["model"]),
        (lambda: rx.build("cifar_resnet14"), (3, 96, 128), ["conv1", "layer1", "layer2", "layer3"]),
        (
            lambda: torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1]),
            (3, 256, 288),
            ["conv1", "maxpool", "layer1", "layer2", "layer3", "layer4"],
        ),
        (lambda: vgg.make_layers(vgg.cfgs["A"])[:16], (3, 192, 224), [""]),
    ],
)
def test_the_receptive_field_is_what_gradients_reach(model, size, steps):
    model = model()
    assert rx.describe(model, size).receptive_field == depends_on(model, size, steps)


def test_activations_are_what_autograd_saves():
    for model, size in (
        (rx.build("cifar_resnet14"), (3, 24, 40)),
        (torchvision.models.resnet18(weights=None, num_classes=10), (3, 64, 96)),
    ):
        image, model = torch.rand(1, *size), model.train()
        own = {t.untyped_storage().data_ptr() for t in (image, *model.state_dict().values())}
        saved = {}

        def keep(tensor, own=own, saved=saved):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                saved[storage.data_ptr()] = storage
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            out = model(image)
        expected = sum(storage.nbytes() for storage in saved.values())
        del out
        assert rx.describe(model, size).activation_bytes == expected


def test_activations_by_hand():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.Tanh())
    # The ReLU's result serves it and the second convolution; tanh keeps its own; the first has the image.
    assert rx.describe(model, (3, 10, 6)).activation_bytes == 4 * 10 * 6 * (8 + 4)
    assert rx.describe(model.double(), (3, 10, 6)).activation_bytes == 8 * 10 * 6 * (8 + 4)


def test_multiply_adds_by_hand():
    parts = {
        nn.Conv2d(6, 10, (3, 5), stride=(2, 1), groups=2): 10 * 4 * 7 * (6 // 2) * 3 * 5,
        nn.ConvTranspose2d(6, 4, 2, stride=2): 6 * 9 * 11 * 4 * 2 * 2,
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)): 6 * 5,
        nn.Sequential(nn.Flatten(2), nn.Linear(99, 7)): 6 * 99 * 7,
        nn.Sequential(nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)): 0,
    }
    for model, macs in parts.items():
        assert rx.describe(model, (6, 9, 11)).macs == macs, model


def test_parts_add_up_and_a_notebook_shows_a_table():
    found = rx.describe(rx.build("hrnet_w18", width=4, modules=(1, 1, 1)), (3, 64, 96))
    assert sum(part.parameters for part in found.parts) == found.parameters
    assert sum(part.macs for part in found.parts) == found.macs
    assert sum(part.activation_bytes for part in found.parts) == found.activation_bytes
    assert math.isclose(found.activation_bytes / 2**20, float(found.rows()[-1][-1].split()[0]), abs_tol=0.05)
    page = found._repr_html_()
    assert page.count("<tr") == len(found.rows()) + 1
    assert "<caption" in page
    assert 'scope="col"' in page
    assert f"{found.macs:,}" in page


class Loose(nn.Module):
    """A weight of its own, one that two parts share, stages in a list, and a part that never runs."""

    def __init__(self):
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(3, 1, 1))
        self.stages = nn.ModuleList([nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 3, 1, bias=False)])
        self.stages[1].weight = self.stages[0].weight
        self.helper = nn.Linear(7, 5)

    def forward(self, x):
        return self.stages[1](self.stages[0](x + self.offset))


def test_rows_that_are_no_part_add_up_and_are_explained():
    found = rx.describe(Loose(), (3, 4, 6))
    counts = {part.name: part.parameters for part in found.parts}
    assert counts == {"(forward)": 3, "stages.0": 9, "stages.1": 0, "(not called)": 40}
    assert found.parameters == sum(counts.values())
    for shown in (str(found), found._repr_html_()):
        assert "(forward) is what the network does outside of its parts" in shown
        assert "(not called) are weights of parts that such a pass does not call." in shown
    whole = rx.describe(nn.Sequential(nn.Conv2d(3, 3, 1)), (3, 4, 6))
    assert whole.notes() == []
    with torch.device("meta"):
        vit = torchvision.models.vit_b_16(weights=None)
    found = rx.describe(vit)
    assert found.parameters == 86_567_656
    assert next(part.parameters for part in found.parts if part.name == "(forward)") == 768, "class token"
    for column in ("parameters", "macs", "activation_bytes"):
        assert sum(getattr(part, column) for part in found.parts) == getattr(found, column)


class Counting(nn.Module):
    """A model that remembers things outside of its weights, and has hooks of somebody else's."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.register_buffer("runs", torch.zeros(()))
        self.seen = []
        self.looked = []
        self.conv.register_forward_hook(lambda *_: self.looked.append(1))

    def forward(self, x):
        self.runs += 1
        self.seen.append(x.shape)
        return self.conv(x)


@pytest.mark.parametrize("measure", [rx.describe, rx.structure])
def test_the_name_of_a_network_is_no_network(measure):
    with pytest.raises(rx.ExploreError, match=r"model must be a torch.nn.Module, not str: .*\('resnet50'"):
        measure("resnet50", (3, 32, 24))


@pytest.mark.parametrize("measure", [rx.describe, rx.structure])
def test_a_model_is_left_as_it_was(measure):
    model = Counting().train()
    model.conv.weight.requires_grad_(False)
    before = torch.random.get_rng_state()
    measure(model, (1, 5, 7))
    with pytest.raises(rx.ExploreError, match=r"can't take an input of size \(2, 5, 7\)"):
        measure(model, (2, 5, 7))
    assert (model.runs.item(), model.seen, model.looked) == (0, [], [])
    assert model.training
    assert not model.conv.weight.requires_grad
    assert model.conv.bias.grad is None
    assert len(model.conv._forward_hooks) == 1
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_mlp_sees_the_whole_image_in_each_unit():
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(48, 5), nn.ReLU(), nn.Linear(5, 3))
    assert rx.describe(mlp, (1, 6, 8)).receptive_field is None
