"""Networks with other skips: inside as a forward written by hand gives, afterwards bit for bit as found."""

import copy
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings, strategies as st
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from witnesses import fingerprint, thin_resnet, thin_vgg

import resnet_explore as rx
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.explain.split import split_maps
from resnet_explore.analysis.topology.blocks_of import blocks_of
from resnet_explore.analysis.topology.structure import structure

SHAPE = (2, 3, 32, 48)
IMAGES = torch.randn(*SHAPE, generator=torch.Generator().manual_seed(0)).double()


def lived_in(net):
    """Return a network in double precision and eval mode whose norms have seen something."""
    net = net.double().train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    with torch.no_grad():
        net(torch.randn(8, *SHAPE[1:], generator=torch.Generator().manual_seed(1)).double() + 0.3)
    return net.eval()


def small(residual=True, block="basic", depths=(3, 2), **changes):
    config = rx.ResNetConfig(
        block, depths, (8, 16)[: len(depths)], "cifar", num_classes=5, residual=residual, **changes
    )
    return rx.build(config)


NETS = {
    "ours, padding": lambda: small(shortcut="padding"),
    "ours, projection": lambda: small(shortcut="projection"),
    "ours, bottleneck": lambda: small(block="bottleneck"),
    "ours, scaled": lambda: small(skip_scale=0.8, branch_scale=0.6),
    "ours, pre-activation": lambda: small(order="pre", shortcut="padding"),
    "ours, pre-activation bottleneck": lambda: small(order="pre", block="bottleneck"),
    "plain": lambda: small(residual=False),
    "plain bottleneck": lambda: small(residual=False, block="bottleneck"),
    "plain pre-activation": lambda: small(residual=False, order="pre"),
    "torchvision resnet18": lambda: thin_resnet(BasicBlock, [2, 2, 2, 2], 5),
    "torchvision bottleneck": lambda: thin_resnet(Bottleneck, [2, 2, 2, 2], 5),
}


@pytest.fixture(scope="module")
def nets():
    torch.manual_seed(0)
    return {name: lived_in(make()) for name, make in NETS.items()}


# --- written by hand ---------------------------------------------------------------------------------------


def stages_of(net):
    """Return the stages by name, as the edits call them."""
    if hasattr(net, "layer1"):
        return {f"layer{i}": getattr(net, f"layer{i}") for i in range(1, 5) if hasattr(net, f"layer{i}")}
    return {f"stages.{i}.blocks": stage.blocks for i, stage in enumerate(net.stages)}


def carried_by_hand(block, x, out_channels):
    if block.downsample is None:
        return x
    if isinstance(block.downsample, nn.Sequential):
        for layer in block.downsample:
            x = layer(x)
        return x
    front = (out_channels - x.shape[1]) // 2  # option A
    return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, front, out_channels - x.shape[1] - front))


def block_by_hand(block, x, s, b, gone):
    pre, count = hasattr(block, "norm1"), 3 if hasattr(block, "conv3") else 2
    plain = getattr(block, "add", 0) is None
    if gone and plain:
        return x
    start = F.relu(block.norm1(x)) if pre else x
    out = start
    for i in range(1, count + 1):
        if pre:
            out = out if i == 1 else F.relu(getattr(block, f"norm{i}")(out))
            out = getattr(block, f"conv{i}")(out)
        else:
            out = getattr(block, f"bn{i}")(getattr(block, f"conv{i}")(out))
            out = F.relu(out) if i < count else out
    if plain:
        return b * (out if pre else F.relu(out))
    if hasattr(block, "add"):
        s, b = s * block.add.skip_scale, b * block.add.branch_scale
    skip = carried_by_hand(block, start if pre and block.first else x, out.shape[1])
    total = s * skip + (0 if gone else b * out)
    return total if pre else F.relu(total)


def by_hand(net, x, delete=(), order=None, skip=None, branch=None):
    skip, branch = skip or {}, branch or {}
    x = net.maxpool(F.relu(net.bn1(net.conv1(x)))) if hasattr(net, "layer1") else net.stem(x)
    for name, stage in stages_of(net).items():
        blocks = list(stage)
        for i in (order or {}).get(name, range(len(blocks))):
            known = f"{name}.{i}"
            x = block_by_hand(blocks[i], x, skip.get(known, 1.0), branch.get(known, 1.0), known in delete)
    if hasattr(net, "layer1"):
        return F.linear(x.mean((2, 3)), net.fc.weight, net.fc.bias)
    return net.head.fc(F.relu(net.norm(x)).mean((2, 3), keepdim=True)).flatten(1)


def everything(net):
    """Return all that an edit could leave behind: state and bytes, attributes and modules in their order."""
    attributes = {
        path: [(name, id(value)) for name, value in vars(module).items()]
        for path, module in net.named_modules()
    }
    parts = {path: list(module._modules) for path, module in net.named_modules()}
    scales = [(m.skip_scale, m.branch_scale) for m in net.modules() if hasattr(m, "skip_scale")]
    return fingerprint(net), list(net.named_modules()), list(net.state_dict()), attributes, parts, scales


@pytest.mark.parametrize("name", NETS)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_inside_it_is_the_forward_by_hand_and_afterwards_as_found(nets, name, data):
    net = nets[name]
    edits = data.draw(random_edits(net))
    before = everything(net)
    with torch.no_grad():
        untouched = net(IMAGES)
        with rx.edited(net, **edits) as inside:
            assert inside is net
            found = net(IMAGES)
        expected = by_hand(net, IMAGES, **edits)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max() + 1))
    assert everything(net) == before
    with torch.no_grad():
        assert torch.equal(net(IMAGES), untouched)


@st.composite
def random_edits(draw, net):
    factor = st.sampled_from([0.0, 0.25, 1.0, 1.5, -1.0])
    edits = {"delete": [], "order": {}, "skip": {}, "branch": {}}
    for stage, blocks in stages_of(net).items():
        kept = [keeps_shape(block) for block in blocks]
        if draw(st.booleans()):
            movable = [i for i, keeps in enumerate(kept) if keeps]
            moved = iter(draw(st.permutations(movable)))
            edits["order"][stage] = [next(moved) if keeps else i for i, keeps in enumerate(kept)]
        for i, block in enumerate(blocks):
            plain = getattr(block, "add", 0) is None
            if draw(st.booleans()) and (kept[i] or not plain):
                edits["delete"].append(f"{stage}.{i}")
            if draw(st.booleans()) and not plain:
                edits["skip"][f"{stage}.{i}"] = draw(factor)
            if draw(st.booleans()):
                edits["branch"][f"{stage}.{i}"] = draw(factor)
    return edits


def keeps_shape(block):
    convolutions = [getattr(block, f"conv{i}") for i in (1, 2, 3) if hasattr(block, f"conv{i}")]
    strides = [convolution.stride for convolution in convolutions]
    return convolutions[0].in_channels == convolutions[-1].out_channels and set(strides) == {(1, 1)}


# --- networks of others ------------------------------------------------------------------------------------


class Foreign(nn.Module):
    """A block written as people do; `way` is how."""

    def __init__(self, way, channels=6):
        super().__init__()
        self.way = way
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.across = nn.Conv2d(channels, channels, 1) if way == "projection" else None

    def branch(self, x):
        inner = F.relu(self.first(x))
        if self.way == "sum inside":
            inner = inner + self.first(inner)
        return self.second(inner)

    def forward(self, x):
        if self.way == "swapped":
            return x + self.branch(x)
        if self.way == "add":
            return torch.add(x, self.branch(x), alpha=0.5)
        if self.way == "other":
            return x.add(other=self.branch(x))
        if self.way == "in place":
            out = self.branch(x)
            out.add_(x)
            return F.relu(out)
        if self.way == "twice":
            x = x + self.branch(x)
            return x + self.second(F.gelu(x))
        if self.way == "loose padding":
            kept = F.pad(x[:, :3], (0, 0, 0, 0, 0, 3))
            return F.relu(self.branch(x) + kept)
        out = self.branch(x)
        out += x if self.across is None else self.across(x)
        return F.relu(out, inplace=True)

    def by_hand(self, x, s, b):
        if self.way == "twice":
            x = s * x + b * self.branch(x)
            return s * x + b * self.second(F.gelu(x))
        if self.way == "add":
            return s * x + 0.5 * b * self.branch(x)
        kept = x if self.across is None else self.across(x)
        if self.way == "loose padding":
            kept = torch.cat([x[:, :3], torch.zeros_like(x[:, :3])], 1)
        total = s * kept + b * self.branch(x)
        return total if self.way in ("swapped", "other") else F.relu(total)


WAYS = ("+=", "swapped", "add", "other", "in place", "projection", "sum inside", "twice", "loose padding")


def foreign(way):
    torch.manual_seed(0)
    blocks = nn.Sequential(Foreign(way), Foreign(way))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))
    return nn.Sequential(nn.Conv2d(3, 6, 3), blocks, head).double()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("s", "b"), [(1, 0), (0.5, 1), (0, 2), (-1.5, 0.25)])
def test_blocks_of_others_however_they_are_written(way, s, b):
    net, images = foreign(way), IMAGES.clone().requires_grad_()
    before = everything(net)
    expected = net[2](net[1][1].by_hand(net[1][0](net[0](images)), s, b))
    (gradient,) = torch.autograd.grad(expected.sum(), images)
    with rx.edited(net, skip={"1.1": s}, branch={"1.1": b}):
        found = net(images)
        (same,) = torch.autograd.grad(found.sum(), images)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(same, gradient)
    assert everything(net) == before


@pytest.mark.parametrize(
    "make",
    [
        lambda: timm.create_model("seresnet18", zero_init_last=False),
        lambda: timm.create_model("resnetv2_18", zero_init_last=False),
        lambda: torchvision.models.mobilenet_v3_small(),
        lambda: torchvision.models.regnet_x_400mf(),
        lambda: torchvision.models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=5),
    ],
    ids=["se", "timm pre-activation", "mobilenet", "regnet", "vit"],
)
def test_without_branches_what_the_skips_carry_is_left(make):
    """Of a block that has a skip alone there is no way to its weights: no gradient, and no change by them."""
    torch.manual_seed(0)
    net = make().eval()
    blocks = [b for b in rx.structure(net, (3, 32, 32)).blocks if b.skip == "identity"]
    images = IMAGES[:, :, :32, :32].float()
    names = [block.name for block in blocks]
    weights = [p for name in names for p in net.get_submodule(name).parameters()]
    with rx.edited(net, delete=names), rx.Capture(net, names) as seen:
        gradients = torch.autograd.grad(net(images).sum(), weights)
    assert not any(gradient.any() for gradient in gradients)
    inputs = {name: seen.outputs[name].clone() for name in names}
    with torch.no_grad():
        for weight in weights:
            weight.normal_()
        with rx.edited(net, delete=names), rx.Capture(net, names) as seen:
            net(images)
        assert all(torch.equal(seen.outputs[name], inputs[name]) for name in names)


# --- what is measured inside -------------------------------------------------------------------------------


def without_branch(net, name):
    """Return a copy whose block adds nothing as its last norm gives 0."""
    twin = copy.deepcopy(net)
    norm = twin.get_submodule(name).bn2
    nn.init.zeros_(norm.weight)
    nn.init.zeros_(norm.bias)
    return twin


MEASURES = {
    "gradient_flow": lambda net: [
        getattr(rx.gradient_flow(net, IMAGES, [1, 4], mode="eval"), field)
        for field in ("activation_norms", "activation_gradient_norms", "weight_gradient_norms", "loss")
    ],
    "class_activation_maps": lambda net: list(rx.class_activation_maps(net, IMAGES, [1, 4]).values()),
    "feature_maps": lambda net: [
        layer.maps for layer in rx.feature_maps(net, IMAGES, ["layer*.?", "relu", "conv1"]).layers.values()
    ],
    "residual_stream": lambda net: [
        part for stream in rx.residual_stream(net, IMAGES).values() for part in (stream.skip, stream.branch)
    ],
    "split_maps": lambda net: [
        *split_maps(net, IMAGES, 1).skip.values(),
        *split_maps(net, IMAGES, 1).branch.values(),
    ],
    "skip_ratios": lambda net: [rx.skip_ratios(net, IMAGES, "eval").branch],
    "jacobian_spectra": lambda net: [
        rx.jacobian_spectra(net, IMAGES[:1, :, :8, :8], ["layer1.1"], "eval", 2).top
    ],
    **{
        method: lambda net, method=method: [
            rx.attribute(net, IMAGES[:, :, :12, :16], [1, 4], method=method).maps
        ]
        for method in ("saliency", "integrated_gradients", "deep_lift", "guided_backprop")
    },
}


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("name", ["ours, padding", "torchvision resnet18"])
def test_what_measures_a_network_measures_the_edited_one(nets, name, measure):
    net, look = nets[name], MEASURES[measure]
    before = everything(net)
    with rx.edited(net, delete="layer1.1"):
        inside = everything(net)
        found = look(net)
        assert everything(net) == inside
    assert everything(net) == before
    for mine, expected in zip(found, look(without_branch(net, "layer1.1")), strict=True):
        np.testing.assert_allclose(np.asarray(mine), np.asarray(expected), rtol=1e-6, atol=1e-9)


def test_ours_and_torchvisions_agree_inside():
    ours = rx.build("resnet18", widths=(8, 16, 32, 64), stem_width=8, num_classes=5)
    theirs = thin_resnet(BasicBlock, [2, 2, 2, 2], 5)
    theirs.load_state_dict(ours.state_dict())
    ours, theirs = ours.double().eval(), theirs.double().eval()
    edits = {
        "delete": "layer2.1",
        "skip": {"layer3.*": 0.5, "layer1.0": 0},
        "branch": {"*": 0.75},
        "order": {"layer1": [1, 0]},
    }
    with rx.edited(ours, **edits), rx.edited(theirs, **edits):
        torch.testing.assert_close(ours(IMAGES), theirs(IMAGES))
        for kind in ("grad_cam", "layercam"):
            mine, other = (rx.class_activation_maps(net, IMAGES, 2, method=kind) for net in (ours, theirs))
            assert list(mine) == list(other)
            for layer in mine:
                torch.testing.assert_close(mine[layer], other[layer])


def test_a_plain_block_that_is_passed_by_has_no_skip(nets):
    net = nets["plain"]
    with rx.edited(net, delete="layer1.1"):
        assert rx.structure(net, SHAPE[1:]).skips == 0
        assert not rx.residual_stream(net, IMAGES)
        weight = net.layer1[1].conv1.weight
        (gradient,) = torch.autograd.grad(net(IMAGES).sum(), weight)
    assert not gradient.any()


def test_gradients_reach_what_is_left(nets):
    net = nets["torchvision resnet18"]
    with rx.edited(net, delete="layer3.1", branch={"layer2.0": 0.5}):
        weights = [net.conv1.weight, net.layer3[1].conv1.weight, net.layer2[0].conv2.weight]
        first, gone, half = torch.autograd.grad(net(IMAGES)[:, 1].sum(), weights)
    expected = by_hand(net, IMAGES, ["layer3.1"], branch={"layer2.0": 0.5})[:, 1].sum()
    again, _, same = torch.autograd.grad(expected, weights, allow_unused=True)
    torch.testing.assert_close(first, again)
    torch.testing.assert_close(half, same)
    assert not gone.any(), "a branch that adds nothing has a gradient, which is 0"


def test_what_is_cut_adds_nothing_even_if_it_is_infinite():
    for net in (small().double(), thin_resnet(BasicBlock, [2, 2, 2, 2], 5).double()):
        with torch.no_grad():
            net.layer1[1].conv2.weight.fill_(float("inf"))
        net.eval()
        with torch.no_grad(), rx.edited(net, delete="layer1.1"):
            assert torch.isfinite(net(IMAGES)).all()


# --- how it is left ----------------------------------------------------------------------------------------


def backwards(net):
    return {"layer1": [*range(len(net.layer1))][::-1]}


@pytest.mark.parametrize("name", ["ours, padding", "torchvision resnet18", "plain"])
def test_an_exception_leaves_nothing_behind(nets, name):
    net = nets[name]
    before = everything(net)

    def interrupted():
        with rx.edited(net, delete="layer1.1", order=backwards(net)):
            net.train()
            net(IMAGES)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert everything(net) == before


def test_a_pass_that_is_broken_off_leaves_nothing_behind(nets):
    net = nets["torchvision resnet18"]
    before = everything(net)

    def stop(*_):
        raise KeyboardInterrupt

    handle = net.layer1[1].bn2.register_forward_hook(stop)
    with pytest.raises(KeyboardInterrupt), rx.edited(net, skip={"layer1.1": 0.5}):
        net(IMAGES)
    handle.remove()
    assert everything(net) == before
    assert torch.overrides._get_current_function_mode_stack() == []


def test_training_inside_keeps_its_weights_and_not_its_statistics(nets):
    net = copy.deepcopy(nets["ours, padding"])
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    weight = net.fc.weight.clone()
    with rx.edited(net, delete="layer1.1"):
        net.train()
        F.cross_entropy(net(IMAGES), torch.tensor([0, 1])).backward()
        torch.optim.SGD(net.parameters(), 0.1).step()
        assert any(not torch.equal(buffer, buffers[name]) for name, buffer in net.named_buffers())
    assert not net.training
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in net.named_buffers())
    assert not torch.equal(net.fc.weight, weight)


@pytest.mark.parametrize("name", ["ours, padding", "torchvision resnet18", "plain"])
def test_edits_of_other_blocks_can_be_nested(nets, name):
    net = nets[name]
    before = everything(net)
    with (
        torch.no_grad(),
        rx.edited(net, delete="layer1.0", order={"layer1": [*range(len(net.layer1))][::-1]}),
    ):
        between = everything(net)
        with rx.edited(net, branch={"layer1.1": 0.5}):
            found = net(IMAGES)
        assert everything(net) == between
    assert everything(net) == before
    expected = by_hand(net, IMAGES, ["layer1.0"], backwards(net), branch={"layer1.1": 0.5})
    torch.testing.assert_close(found, expected)


def test_stays_that_overlap_in_threads_leave_it_as_found(nets):
    net = nets["ours, padding"]
    before = everything(net)
    entered, left = threading.Event(), threading.Event()

    def first():
        with rx.edited(net, delete="layer1.0"):
            net.train()
            net(IMAGES)
            entered.set()
            left.wait(20)

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(20)
    stay = rx.edited(net, skip={"layer1.1": 0.5})
    stay.__enter__()
    net(IMAGES)
    left.set()
    thread.join()
    assert net.layer1[1].add.skip_scale == 0.5
    stay.__exit__(None, None, None)
    assert everything(net) == before


def test_a_copy_made_inside_is_edited_and_stays_so(nets):
    for name in ("torchvision resnet18", "ours, padding"):
        net = nets[name]
        with torch.no_grad():
            with rx.edited(net, delete="layer1.1"):
                twin, expected = copy.deepcopy(net), net(IMAGES)
                with torch.no_grad():
                    net.conv1.weight.neg_()
                assert torch.equal(twin(IMAGES), expected), "with weights of its own"
                net.conv1.weight.neg_()
            assert torch.equal(twin(IMAGES), expected)
            assert not torch.equal(net(IMAGES), expected)


def test_a_compiled_network_runs_as_edited(nets):
    net = copy.deepcopy(nets["torchvision resnet18"])
    compiled = torch.compile(net, backend="eager")
    with torch.no_grad():
        whole = compiled(IMAGES)
        with rx.edited(compiled, delete="layer1.1"):
            inside = compiled(IMAGES)
        torch.testing.assert_close(inside, by_hand(net, IMAGES, ["layer1.1"]))
        torch.testing.assert_close(compiled(IMAGES), whole)


@pytest.mark.parametrize("way", ["swapped", "+="])
def test_paths_inside_are_those_of_a_network_that_is_written_so(way):
    class Halved(Foreign):
        def forward(self, x):
            total = 0.5 * x + self.branch(x) if self.way == "swapped" else self.branch(x) + 0.5 * x
            return total if self.way == "swapped" else F.relu(total)

    net, written = foreign(way), foreign(way)
    written[1] = nn.Sequential(*(Halved(way) for _ in range(2))).double()
    written.load_state_dict(net.state_dict())
    with rx.edited(net, skip={"*": 0.5}):
        inside = rx.path_lengths(net, IMAGES, [0, 1])
    np.testing.assert_allclose(inside.gradient, rx.path_lengths(written, IMAGES, [0, 1]).gradient)


def test_what_is_traced_inside_is_forgotten():
    net, other = foreign("swapped"), (3, 20, 28)
    with rx.edited(net, skip={"*": 0.5}):
        blocks_of(net, other)
    assert blocks_of(net, other) == structure(net, other).blocks


def test_to_enter_and_leave_waits_for_who_measures(nets):
    net, measured, go = nets["ours, padding"], threading.Event(), threading.Event()
    net.train()

    def measure():
        with measuring(net):
            net.eval()
            measured.set()
            assert go.wait(20)

    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(measure)
        assert measured.wait(20)

        def edit():
            with rx.edited(net, delete="layer1.1"):
                return net.training

        other = threads.submit(edit)
        time.sleep(0.2)
        assert not other.done(), "else it would put back that the network was in eval mode"
        go.set()
        one.result(20)
        assert other.result(20)
    assert net.training
    net.eval()


# --- what can't be done ------------------------------------------------------------------------------------


class Mixed(nn.Module):
    """A module that weighs both summands itself."""

    def forward(self, x, y):
        return 0.5 * x + 0.5 * y


class OutOfReach(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1))
        self.mixed = Mixed()

    def forward(self, x):
        return self.mixed(x, self.layers(x))


def test_a_network_is_edited_in_inference_mode_too():
    net, image = rx.build("cifar_resnet8", seed=0).eval(), torch.randn(1, 3, 32, 32)
    with torch.inference_mode(), rx.edited(net, branch={"*": 0.5}):  # blocks are looked for here
        found = net(image)
    with rx.edited(net, branch={"*": 0.5}):
        torch.testing.assert_close(net(image), found)


REFUSED = [
    ("ours, padding", {"delete": "layer1.7"}, r"Unknown block 'layer1.7': did you mean 'layer1.\d'"),
    ("ours, padding", {"delete": ["layer9.*"]}, r"Unknown block 'layer9.\*'"),
    ("ours, padding", {"delete": 3}, "delete must be names of blocks or patterns, not 3"),
    ("ours, padding", {"skip": 0.5}, "skip must be a dict from blocks to factors"),
    ("ours, padding", {"skip": {"*": float("nan")}}, r"skip of '\*' must be a finite number, not nan"),
    ("ours, padding", {"branch": {"layer1.0": "1"}}, "branch of 'layer1.0' must be a finite number"),
    ("ours, padding", {"branch": {"layer1.0": True}}, "must be a finite number, not True"),
    ("ours, padding", {"order": {"layer1": [0, 0, 1]}}, "each number from 0 to 2 once, not \\[0, 0, 1\\]"),
    ("ours, padding", {"order": {"layer1": [0, 1]}}, "must hold each number from 0 to 2 once"),
    ("ours, padding", {"order": {"layer2": [1, 0]}}, "can't put 'layer2.1' in the place of 'layer2.0'"),
    ("ours, padding", {"order": {"layer7": [0]}}, "Unknown stage 'layer7'"),
    ("ours, padding", {"order": [2, 0, 1]}, "order must be a dict from stages to numbers of their blocks"),
    ("plain", {"delete": ["layer1.0", "layer2.0"]}, "'layer2.0' can't be deleted: it has no skip"),
    ("plain", {"skip": {"*": 0.5}}, "has a skip, so there is none to scale"),
    ("plain", {"skip": {"layer1.0": 0.5}}, "The block 'layer1.0' has no skip"),
    ("torchvision resnet18", {"order": {"layer2": [1, 0]}, "delete": "layer1.0"}, "can't put 'layer2.1'"),
    ("torchvision resnet18", {"delete": "layer1.0", "input_size": (4, 32, 32)}, "can't take an input"),
]


@pytest.mark.parametrize(("name", "edits", "sentence"), REFUSED, ids=[str(e) for _, e, _ in REFUSED])
def test_what_cannot_be_edited_is_said_and_changes_nothing(nets, name, edits, sentence):
    net = nets[name]
    before = everything(net)
    with pytest.raises(rx.ExploreError, match=sentence), rx.edited(net, **edits):
        pass
    assert everything(net) == before


def test_a_block_is_edited_once_at_a_time(nets):
    for name in ("ours, padding", "torchvision resnet18", "plain"):
        net = nets[name]
        before = everything(net)
        with rx.edited(net, delete="layer1.1", order=backwards(net)):
            between = everything(net)
            for edits in ({"branch": {"*": 0.5}}, {"order": backwards(net)}):
                with pytest.raises(rx.ExploreError, match="is being edited already"), rx.edited(net, **edits):
                    pass
                assert everything(net) == between
        assert everything(net) == before


@pytest.mark.parametrize(
    ("make", "edits", "sentence"),
    [
        (thin_vgg, {"delete": "*"}, "a VGG, has no blocks"),
        (
            lambda: nn.Sequential(nn.Conv2d(3, 3, 1), OutOfReach()),
            {"delete": "1"},
            "where it adds skip and branch is not known",
        ),
        (
            lambda: torchvision.models.googlenet(init_weights=False),
            {"order": {"": [0]}},
            "they stand in no list",
        ),
        (
            lambda: nn.Sequential(nn.Flatten(), nn.Bilinear(2, 2, 2)),
            {"delete": "*"},
            "takes no image of a usual size",
        ),
    ],
)
def test_networks_without_what_is_asked(make, edits, sentence):
    net = make()
    before = everything(net)
    with pytest.raises(rx.ExploreError, match=sentence), rx.edited(net, **edits):
        pass
    assert everything(net) == before


def test_a_block_that_adds_otherwise_than_it_was_seen_to_is_said():
    class Moody(Foreign):
        def forward(self, x):
            return super().forward(x) + (x if self.training else 0)

    net = nn.Sequential(nn.Conv2d(3, 6, 3), Moody("swapped")).double().train()
    before = everything(net)
    with (
        pytest.raises(rx.ExploreError, match="it adds 2 times now, but 1 time when it was looked at"),
        rx.edited(net, delete="1"),
    ):
        net(IMAGES)
    assert everything(net) == before


def test_blocks_that_are_left_alone_are_not_touched(nets):
    net = nets["torchvision resnet18"]
    with rx.edited(net, branch={"*": 1.0}, skip={"layer3.*": 1}):
        assert not any("forward" in vars(module) for module in net.modules())


def test_a_stage_may_be_named_by_what_holds_its_blocks(nets):
    net = nets["ours, pre-activation"]
    with torch.no_grad(), rx.edited(net, order={"stages.0": [2, 0, 1]}):
        found = net(IMAGES)
    torch.testing.assert_close(found, by_hand(net, IMAGES, order={"stages.0.blocks": [2, 0, 1]}))
