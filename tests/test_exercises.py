"""Every task takes each right answer, in whatever form, knows the usual mistakes, and bears anything else."""

import functools
import random

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings
from torch import nn

import resnet_explore as rx
from resnet_explore.exercises.registry import CODE, EXERCISES, SEE

NAMES = [row[0] for row in rx.check().rows]

# --- answers that are right --------------------------------------------------------------------------------


class PostActivation(nn.Module):
    """The block of 2015."""

    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def branch(self, x):
        return self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))

    def forward(self, x):
        return F.relu(x + self.branch(x))


class InPlace(PostActivation):
    """As torchvision writes it: in place, but never into x."""

    def forward(self, x):
        out = self.branch(x)
        out += x
        return F.relu_(out)


class Leaky(PostActivation):
    """Another activation behind the sum."""

    def forward(self, x):
        return F.leaky_relu(x + self.branch(x), 0.1)


class Elu(PostActivation):
    def forward(self, x):
        return F.elu(x + self.branch(x))


class PreActivation(nn.Module):
    """The block of 2016, with names of its own for its arguments, and a last convolution that starts at 0."""

    def __init__(self, width_in, width_out, stride=1):
        super().__init__()
        self.f = nn.Sequential(
            *(nn.BatchNorm2d(width_in), nn.ReLU(), nn.Conv2d(width_in, width_out, 3, stride, padding=1)),
            *(nn.BatchNorm2d(width_out), nn.ReLU(), nn.Conv2d(width_out, width_out, 3, padding=1)),
        )
        nn.init.zeros_(self.f[-1].weight)

    def forward(self, x):
        return self.f(x) + x


class WithoutNorm(nn.Module):
    """Biases instead of batch norm, another activation, and keyword arguments only."""

    def __init__(self, *, planes, kernel_size):
        super().__init__()
        pad = kernel_size // 2
        self.one = nn.Conv2d(planes, planes, kernel_size, padding=pad)
        self.two = nn.Conv2d(planes, planes, kernel_size, padding=pad)

    def forward(self, x):
        return x + self.two(torch.tanh(self.one(x)))


def make_block(channels=24):
    return PostActivation(channels)


class WithArguments(PostActivation):
    """Takes what torchvision's block takes, and its norms have nothing to learn."""

    def __init__(self, inplanes, planes, stride, downsample):
        super().__init__(planes)
        assert (inplanes, stride, downsample) == (planes, 1, None)
        self.bn1 = self.bn2 = nn.BatchNorm2d(planes, affine=False)


class Wide(PostActivation):
    """A block for one number of channels."""

    def __init__(self):
        super().__init__(8)


def hooked(network, images, layer):
    found = []
    handle = network.get_submodule(layer).register_forward_hook(
        lambda module, args, output: found.append(output)
    )
    try:
        network(images)
    finally:
        handle.remove()
    return found[0]


def hooked_quietly(net, x, name):
    with torch.no_grad(), rx.Capture(net) as capture:
        net(x)
    return capture.outputs[name].numpy()


def cam(
    network,
    image,
    layer,
    target,
    *,
    relu=True,
    scale=True,
    softmax=False,
    own_choice=False,
    places=False,
    sign=1,
):
    found = []
    hook = network.get_submodule(layer).register_forward_hook(
        lambda module, args, output: found.append(output)
    )
    score = network(image)
    hook.remove()
    target = score.argmax().item() if own_choice else target
    score = score.softmax(1) if softmax else score
    [gradient] = torch.autograd.grad(sign * score[0, target], found[0])
    weights = gradient if places else gradient.mean((2, 3), keepdim=True)
    heat = (weights * found[0]).sum(1)
    heat = heat.relu() if relu else heat
    return heat / heat.max() if scale else heat


def cam_of_captum(network, image, layer, target):
    from captum.attr import LayerGradCam

    heat = LayerGradCam(network, network.get_submodule(layer)).attribute(
        image, target, relu_attributions=True
    )
    return heat / heat.max()


def cam_over_the_photo(network, image, layer, target):
    heat = cam(network, image, layer, target)[None]
    return F.interpolate(heat, image.shape[2:], mode="bilinear")[0, 0].detach().numpy()


def field(layers):
    size, jump = 1, 1
    for kernel, stride in layers:
        size, jump = size + (kernel - 1) * jump, jump * stride
    return size


def field_from_behind(stack):
    size = 1
    for kernel, stride in reversed(stack):
        size = (size - 1) * stride + kernel
    return torch.tensor(size)


# "train-plain" trains for seconds; its right answer is that of docs/teaching.md, which runs with that page.
RIGHT = {
    "plain-fails": [56, 56.0, "56", np.int64(56), torch.tensor([56])],
    "larger-gradient": [
        ("first", 1000),
        ("The first block", "1,000×"),
        [1500, "first"],
        {"which": "first", "by": 1e3},
    ],
    "count-paths": [
        (512, 256),
        [512.0, 256.0],
        np.array([512, 256]),
        torch.tensor([512, 256]),
        ("512", "256"),
    ],
    "eval-mode": ["b", "B", "(b)", " b. "],
    "read-heatmap": ["b", "B)"],
    "most-important-block": [1, "1", "layer1.0", "block 1"],
    "count-parameters": [
        21_797_672,
        "21,797,672",
        sum(p.numel() for p in torchvision.models.resnet34().parameters()),
    ],
    "shortcut-parameters": [
        (0, 0, 576),
        {"identity": 0, "option A": 0, "projection": 576},
        [0.0, "0", "576"],
    ],
    "feature-map": [hooked, hooked_quietly],
    "residual-block": [
        *(
            PostActivation,
            InPlace,
            Leaky,
            Elu,
            PreActivation,
            WithoutNorm,
            make_block,
            Wide,
            WithArguments,
            PostActivation(12).eval(),
        ),
        *(lambda n: torchvision.models.resnet.BasicBlock(n, n), rx.build("cifar_resnet8").layer1[0]),
        *(functools.partial(PreActivation, 6, 6), lambda n: torchvision.models.resnet.Bottleneck(n, n // 4)),
    ],
    "receptive-field": [field, field_from_behind, lambda layers: str(field(layers))],
    "grad-cam": [cam, cam_of_captum, cam_over_the_photo],
}


def cases(table):
    """Return each task with each of its entries; those that train are marked."""
    training = {"train-plain": [pytest.mark.training]}
    return [
        pytest.param(task, entry, marks=training.get(task, []))
        for task, entries in table.items()
        for entry in entries
    ]


@pytest.mark.parametrize(("task", "answer"), cases(RIGHT))
def test_a_right_answer_passes_in_any_form(task, answer):
    found = rx.check(task, answer)
    assert found.passed, found
    assert found.right
    assert not found.wrong + ((found.hint,) if found.hint else ())


def test_every_task_has_a_right_answer_here_and_they_get_harder():
    minutes = [EXERCISES[name].minutes for name in NAMES]
    assert sorted(NAMES) == sorted([*RIGHT, "train-plain"])
    assert minutes == sorted(minutes)
    assert len(NAMES) == 13
    kinds = [EXERCISES[name].kind for name in NAMES]
    assert kinds.count(SEE) >= 4
    assert kinds.count(CODE) >= 6


# --- usual mistakes ----------------------------------------------------------------------------------------


class NoSkip(PostActivation):
    def forward(self, x):
        return F.relu(self.branch(x))


class ReluFirst(PostActivation):
    def forward(self, x):
        return x + F.relu(self.branch(x))


class IntoX(PostActivation):
    def forward(self, x):
        x += self.branch(x)
        return F.relu(x)


class Detached(PostActivation):
    def forward(self, x):
        return F.relu(x.detach() + self.branch(x))


class Halved(PostActivation):
    def forward(self, x):
        return F.relu(x / 2 + self.branch(x))


class Absolute(PostActivation):
    def forward(self, x):
        return (x + self.branch(x)).abs()


class Gelu(PostActivation):
    def forward(self, x):
        return F.gelu(x + self.branch(x))


class OnlyInTraining(PostActivation):
    def forward(self, x):
        return F.relu(x + self.branch(x)) if self.training else F.relu(self.branch(x))


class NothingBetween(PostActivation):
    def branch(self, x):
        return self.bn2(self.conv2(self.bn1(self.conv1(x))))


class Unused(PostActivation):
    def branch(self, x):
        return self.bn1(self.conv1(F.relu(x)))


class NoGradient(PostActivation):
    def branch(self, x):
        with torch.no_grad():
            return super().branch(x)


class OverwritesItself(PostActivation):
    def branch(self, x):
        y = torch.sigmoid(self.conv1(x))
        z = self.bn2(self.conv2(y))
        y.mul_(2)
        return z


class NoPadding(PostActivation):
    def __init__(self, channels):
        super().__init__(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3)

    def forward(self, x):
        return self.branch(x)


class SinglePixels(PostActivation):
    def __init__(self, channels):
        super().__init__(channels)
        self.conv1, self.conv2 = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)


class Bare(nn.Module):
    def forward(self, x):
        return x + 1


class NormedSkip(PostActivation):
    def forward(self, x):
        return F.relu(self.bn1(x) + self.branch(x))


def left_behind(network, images, layer):
    found = []
    network.get_submodule(layer).register_forward_hook(lambda module, args, output: found.append(output))
    network(images)
    return found[-1]


def what_went_in(network, images, layer):
    found = []
    with network.get_submodule(layer).register_forward_hook(
        lambda module, args, output: found.append(args[0])
    ):
        network(images)
    return found[0]


def in_train_mode(network, images, layer):
    return hooked(network.train(), images, layer)


def with_activation(network, make):
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(module, name, make())
    return network


PARAMETERS = rx.build("resnet34")
NORMS = sum(p.numel() for m in PARAMETERS.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters())
BIASES = sum(p.numel() for name, p in PARAMETERS.named_parameters() if name.endswith("bias"))
SKIPS = sum(p.numel() for name, p in PARAMETERS.named_parameters() if "downsample" in name)

# An answer, and a word of the remark or the hint that fits its mistake.
MISTAKES = {
    "plain-fails": [
        (56.7, "no plain network of 56.7"),
        (110, "not there first"),
        (32, "14 %"),
        (44, "no plain network of 44"),
        (8, "deeper"),
    ],
    "larger-gradient": [
        *(
            (("last", 1000), "textbooks"),
            (("first", 5.7), "eval mode"),
            (("first", 3.7), "residual network's"),
        ),
        *((("first", 0.001), "other way round"), (("first", 20), "ten times")),
    ],
    "count-paths": [
        ((18, 9), "added"),
        ((10, 9), "lengths"),
        ((512, 511), "More than one"),
        ((1, 0), "plain"),
    ],
    "eval-mode": [("a", "no dropout"), ("c", "no_grad"), ("d", "same")],
    "read-heatmap": [("a", "blue"), ("c", "blue"), ("d", "blue")],
    "most-important-block": [(9, "least"), ("layer1.1", "34 %"), (4, "Another costs more")],
    "count-parameters": [
        *((21.8, "millions"), (21_797_672 - NORMS, "batch norm"), (21_797_672 - BIASES, "biases")),
        *((21_797_672 - SKIPS, "skips"), (21_797_672 - 513_000, "fully connected"), (110, "tensors")),
        *(
            (sum(t.numel() for t in PARAMETERS.state_dict().values()), "running"),
            (3_663_761_408, "multiply-adds"),
        ),
        *((11_689_512, "ResNet-18"), (1e9, "too many"), (12_345_678, "too few")),
    ],
    "shortcut-parameters": [
        *(((0, 0, 512), "batch norm behind"), ((0, 0, 544), "two numbers"), ((0, 0, 608), "no bias")),
        *(((0, 0, 9 * 512 + 64), "1×1"), ((0, 0, 640), "not learned"), ((16, 0, 576), "hands on")),
        ((0, 512, 576), "zeros"),
    ],
    "feature-map": [
        *((left_behind, "handle"), (what_went_in, "what went in"), (in_train_mode, "mode")),
        *(
            (lambda n, x, layer: n(x), "network's answer"),
            (lambda n, x, layer: [hooked(n, x, layer)], "around"),
        ),
        *(
            (lambda n, x, layer: hooked(n, x, "layer2.0"), "layer2.0"),
            (lambda n, x, layer: hooked(n, x[:1], layer), "all"),
        ),
    ],
    "residual-block": [
        *(
            (NoSkip, "0 comes out"),
            (ReluFirst, "before the sum"),
            (IntoX, "changes its input"),
            (Detached, "detach"),
        ),
        *(
            (Halved, "0.5 times x"),
            (Absolute, "x comes out where it is large, and something else"),
            (Gelu, "something other than x"),
            (OnlyInTraining, "eval mode"),
            (NothingBetween, "linear"),
            (Unused, "used in forward"),
        ),
        *(
            (NoGradient, "No gradient"),
            (OverwritesItself, "in place"),
            (NoPadding, "padding"),
            (SinglePixels, "single"),
        ),
        *((Bare, "no weights"), (NormedSkip, "norm"), (rx.build("cifar_resnet8"), "whole network")),
        (lambda n: rx.build("cifar_resnet8"), "whole network"),
    ],
    "receptive-field": [
        *(
            (lambda layers: 1 + sum(k - 1 for k, _ in layers), "Behind a stride"),
            (lambda layers: field(layers) - 1, "off by one"),
        ),
        (lambda layers: 100, "Draw"),
    ],
    "grad-cam": [
        *(
            (functools.partial(cam, relu=False), "below 0"),
            (functools.partial(cam, scale=False), "largest value"),
        ),
        *(
            (functools.partial(cam, softmax=True), "softmax"),
            (functools.partial(cam, own_choice=True), "first choice"),
        ),
        *((functools.partial(cam, places=True), "HiResCAM"), (functools.partial(cam, sign=-1), "sign")),
        *(
            (lambda n, x, layer, t: cam(n, x, layer, t)[..., 1:], "shape"),
            (lambda n, x, layer, t: torch.rand(16, 16), "One weight"),
        ),
        *(
            (lambda n, x, layer, t: cam(n, x, layer, t) / 0, "finite"),
            (lambda n, x, layer, t: cam(n.train(), x, layer, t), "mode"),
        ),
    ],
    "train-plain": [
        *(
            (lambda n: with_activation(n, nn.Identity), "linear"),
            (lambda n: rx.build(n.config.replace(residual=True)), "27 skips"),
        ),
        *(
            (lambda n: rx.build(n.config.replace(depths=(2, 2, 2))), "14 layers"),
            (rx.build("cifar_plain56"), "3 channels"),
        ),
        (lambda: rx.build("cifar_plain8"), "3 channels"),
        *(
            (lambda n: None, "nothing has changed"),
            (lambda n: [p.data.mul_(0.9) for p in n.parameters()] and n, "gradients"),
        ),
    ],
}


@pytest.mark.parametrize(("task", "mistake"), cases(MISTAKES))
def test_a_usual_mistake_gets_its_own_hint(task, mistake, monkeypatch):
    # What has learnt nothing by then is told so in the same words as after 100 steps.
    monkeypatch.setattr("resnet_explore.exercises.without_skips._STEPS", 30)
    answer, word = mistake
    found = rx.check(task, answer)
    assert not found.passed
    assert word in str(found), found
    assert found.hint


def test_a_mistake_in_one_check_does_not_spoil_the_next():
    rx.check("grad-cam", lambda n, x, layer, t: n.get_submodule(layer).register_forward_hook(cam) and None)
    assert rx.check("grad-cam", cam).passed


# --- anything else -----------------------------------------------------------------------------------------


class Malicious:
    """Fails at whatever is asked of it."""

    def __getattr__(self, name):
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError("no")


def fails(*_):
    return 1 / 0


def leaves(*_):
    raise SystemExit


class NoInit(nn.Module):
    def __init__(self, channels):
        self.conv = nn.Conv2d(channels, channels, 3)


JUNK = [
    *(
        True,
        float("nan"),
        float("inf"),
        "",
        "abc",
        b"x",
        (),
        [None, None],
        {},
        {1},
        object(),
        Malicious(),
        1j,
        -1,
    ),
    *(
        nn.Module,
        nn.Module(),
        nn.Identity,
        nn.Conv2d,
        int,
        print,
        fails,
        leaves,
        NoInit,
        rx.build("cifar_resnet8"),
    ),
    *(
        torch.zeros(2, 3),
        np.array(["a", "b"]),
        rx,
        lambda: None,
        lambda *_: None,
        lambda *_: "x",
        lambda *_: torch.zeros(0),
    ),
]


@pytest.mark.parametrize("task", NAMES)
def test_anything_else_is_refused_in_one_sentence(task):
    for answer in JUNK:
        found = rx.check(task, answer)
        assert not found.passed
        assert found.hint
        assert found.wrong
        assert all(
            "\n" not in words and len(words) < 300 and words.endswith((".", "?")) for words in found.wrong
        )


ANSWERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=2), parts, max_size=3),
    max_leaves=6,
)


@settings(max_examples=25, deadline=None)
@given(task=st.sampled_from(NAMES), answer=ANSWERS)
def test_no_answer_makes_a_traceback(task, answer):
    found = rx.check(task, answer)
    assert str(found)
    assert found._repr_html_()
    assert found.begun == (answer is not None)


def test_code_that_fails_says_where_and_what():
    found = rx.check("receptive-field", fails)
    assert "`return 1 / 0`): ZeroDivisionError, division by zero." in found.wrong[0]
    found = rx.check("residual-block", NoInit)
    assert "`self.conv = nn.Conv2d(channels, channels, 3)`): AttributeError" in found.wrong[0]


# --- how it says so ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [None, ...])
@pytest.mark.parametrize("task", NAMES)
def test_without_an_answer_there_is_a_first_hint(task, nothing):
    found = rx.check(task, nothing)
    assert not found.begun
    assert not found.passed
    assert "Nothing to check yet" in str(found)
    assert "Nothing to check yet" in found._repr_html_()
    assert found.hint


@pytest.mark.parametrize("text", ["3,7", "12,5", "1 2 3", "5,76", "1,00", "1,2345", "1,000_000", "0,576"])
def test_separators_stand_before_three_digits_only(text):
    found = rx.check("shortcut-parameters", (0, 0, text))
    assert found.wrong == (f"This asks for three numbers, not for the text {text!r}.",)
    assert not found.right


@pytest.mark.parametrize("text", ["21,797,672", "21 797 672", "21_797_672", "21797672", "21,797,672.0"])
def test_thousands_may_be_separated(text):
    assert rx.check("count-parameters", text).passed


def test_a_misspelt_task_gets_the_closest_names():
    with pytest.raises(rx.ExploreError, match="did you mean 'residual-block'"):
        rx.check("residul_block")
    with pytest.raises(rx.ExploreError, match="Unknown task 7"):
        rx.check(7)
    assert not rx.check("Residual Block").begun


def test_the_list_names_each_task():
    assert all(name in str(rx.check()) and name in rx.check()._repr_html_() for name in NAMES)


def test_a_card_takes_the_page_s_colours_and_nothing_of_the_student_s_as_html():
    page = rx.check("count-paths", "<script>")._repr_html_()
    assert "color: inherit" in page
    assert "<script>" not in page
    assert 'role="status"' in page


def test_random_numbers_of_the_student_s_stay_as_they_are():
    torch.manual_seed(7)
    random.seed(7)
    expected = torch.rand(1), random.random()
    torch.manual_seed(7)
    random.seed(7)
    rx.check("residual-block", PostActivation)
    assert (torch.rand(1), random.random()) == expected


def test_random_numbers_of_a_gpu_stay_as_they_are(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    rx.check("residual-block", PostActivation)
    assert seeded == []


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("block", [PostActivation, PostActivation(8)], ids=["class", "block"])
def test_gradients_may_be_switched_off_around_a_check(around, block):
    with around():
        found = rx.check("residual-block", block)
        assert not torch.is_grad_enabled()
    assert found.passed, found
