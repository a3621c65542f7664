import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock
from witnesses import derivatives, fingerprint, thin_resnet

import resnet_explore as rx
from resnet_explore.analysis._norms import each_norm, norm
from resnet_explore.analysis.gradients.flow import GradientFlow
from resnet_explore.analysis.topology.comparable import alike, trend
from resnet_explore.training.trainer import first_steps

NETS = {
    "cifar_resnet8": lambda: rx.build("cifar_resnet8"),
    "cifar_plain14": lambda: rx.build("cifar_plain14"),
    "projections": lambda: rx.build("cifar_resnet8", shortcut="projection"),
    "torchvision resnet18": lambda: thin_resnet(BasicBlock, [2, 2, 2, 2], 10),
}


def noise(count=6, seed=0, size=(24, 40)):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, *size, generator=generator)
    return images, torch.randint(10, (count,), generator=generator)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", NETS)
def test_norms_are_those_of_loss_backward(name, mode):
    torch.manual_seed(0)
    net = NETS[name]()
    images, labels = noise()
    net.train()(images)  # so that running statistics are not those of a fresh net
    net.train(mode == "train")
    outputs, gradients, weights = derivatives(net, lambda model: F.cross_entropy(model(images), labels))
    loss = F.cross_entropy(net(images), labels).item()
    net.train(mode != "train")
    flow = rx.gradient_flow(net, images, labels, mode=mode)

    layers = [n for n in outputs if isinstance(net.get_submodule(n.split(":")[0]), (nn.Conv2d, nn.Linear))]
    assert list(flow.names) == layers

    def norms(tensors):
        return [tensor.double().square().sum().sqrt().item() for tensor in tensors]

    expected = {
        "activation_norms": norms(outputs[n] for n in layers),
        "activation_gradient_norms": norms(gradients[n] for n in layers),
        "weight_norms": norms(net.get_submodule(n).weight.detach() for n in layers),
        "weight_gradient_norms": norms(weights[f"{n}.weight"] for n in layers),
    }
    for field, values in expected.items():
        np.testing.assert_allclose(getattr(flow, field), values, rtol=1e-3, err_msg=field)
        assert getattr(flow, field).dtype == np.float64
    assert flow.loss == pytest.approx(loss, rel=1e-5)
    assert (flow.mode, flow.batch_size, flow.finite) == (mode, 6, True)


@pytest.mark.parametrize("seed", range(2))
def test_at_initialisation_plain_gradients_explode_towards_the_input_and_residual_ones_do_not(seed):
    images, labels = noise(32, seed, (16, 24))
    ratios = {}
    for depth in (20, 56):
        twins = rx.twins(f"cifar_resnet{depth}", seed=seed)
        ratios[depth] = [rx.gradient_flow(net, images, labels).ratio for net in twins]
    # Ranges around what three seeds gave: 7.3-7.9 and 2.3 at depth 20, 1.7e3-2.3e3 and 8.0-8.8 at 56.
    assert 5 < ratios[20][0] < 15
    assert 1.5 < ratios[20][1] < 5
    assert 500 < ratios[56][0] < 20_000
    assert 5 < ratios[56][1] < 16


def test_ten_steps_of_sgd_turn_the_slope_of_a_plain_network_round():
    digits = rx.load_dataset("digits")
    images, labels = digits.normalized(slice(64)), digits.labels[:64]
    before, after = {}, {}
    for run in rx.Sweep(depths=(56,)).runs():
        net = rx.build(run.config(1, 10), seed=run.seed)
        before[run.kind] = rx.gradient_flow(net, images, labels).ratio
        after[run.kind] = rx.gradient_flow(first_steps(run, net, digits, 10), images, labels).ratio
    # Three seeds gave 8.8e2-1.4e3 before and .24-.83 after; the residual twin 3.7-6.3 and 1.5-4.1.
    assert before["plain"] > 100
    assert after["plain"] < 3
    assert 1 < before["residual"] < 20
    assert after["residual"] < 20


def test_in_eval_mode_the_picture_is_another():
    images, labels = noise(16, 0, (32, 32))
    plain = rx.build("cifar_plain56")
    assert rx.gradient_flow(plain, images, labels, mode="eval").ratio < 10
    assert rx.gradient_flow(plain, images, labels, mode="train").ratio > 500


def flow_with(kinds, weight_gradients, on_path=None, names=None):
    values = np.array(weight_gradients, dtype=float)
    on_path = tuple(on_path or [True] * len(kinds))
    names = tuple(names or map(str, range(len(kinds))))
    return GradientFlow(names, tuple(kinds), on_path, values, values, values, values, 1.0, "train", 2)


def test_ratio_is_that_of_the_first_block_over_the_last():
    kinds = ["conv 3x3", *["conv 3x3"] * 6, "linear"]
    names = ["stem", "a.0.one", "a.0.two", "a.1.one", "a.1.two", "b.0.one", "b.0.two", "head"]
    flow = flow_with(kinds, [1, 3, 4, 99, 99, 0.6, 0.8, 7], names=names)
    assert flow.ratio == pytest.approx(5)
    assert str(flow.alike) == "first block, layers 2–3, against last block, layers 6–7"
    np.testing.assert_allclose(flow.part_norms("activation_gradient_norms"), [4, 99, 0.8])
    np.testing.assert_allclose(flow.part_norms("relative_gradients"), 1, err_msg="norms over the same norms")
    assert "weight gradient 5 at a.0, 1 at b.0, ratio 5" in str(flow)
    with_shortcut = flow_with(
        [*kinds, "conv 1x1"], [1, 3, 4, 99, 99, 0.6, 0.8, 7, 1e9],
        [True] * 8 + [False], [*names[:7], "head", "b.0.downsample"],
    )  # fmt: skip
    assert with_shortcut.ratio == pytest.approx(5), "twins differ in their shortcuts"
    unlike = flow_with(kinds, [1, 3, 4, 5, 12, 0.6, 0.8, 7], names=[*names[:5], "b.one", "b.two", "head"])
    assert unlike.ratio == pytest.approx(5 / 13), "what is not numbered is no block"


def test_without_blocks_layers_of_one_kind_are_compared():
    kinds = ["conv 7x7", "conv 1x1", "conv 3x3", "conv 3x3", "conv 1x3", "linear"]
    assert flow_with(kinds, [1, 2, 12, 99, 4, 5]).ratio == 3
    assert str(flow_with(kinds, [1, 2, 12, 99, 4, 5]).alike).startswith("convolution at layer 3 against")
    on_path = [True, True, True, True, False, True]
    assert flow_with(kinds, [1, 2, 12, 3, 4, 5], on_path).ratio == 4
    assert flow_with(["linear"] * 4, [1, 6, 2, 4]).ratio == 3
    assert math.isnan(flow_with(["conv 3x3", "conv 3x3", "linear"], [1, 2, 3]).ratio)
    assert flow_with(["conv 3x3"] * 3, [1, 2, 0]).ratio == math.inf


@pytest.mark.parametrize(
    ("name", "noun", "count", "layers"),
    [("resnet50", "block", 16, 3), ("vgg11", "convolution", 7, 1), ("densenet121", "block", 58, 2)],
)
def test_like_parts_of_other_networks(name, noun, count, layers):
    with torch.device("meta"):
        net = getattr(torchvision.models, name)()
    modules = [(n, m) for n, m in net.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    kinds = [
        "linear" if isinstance(m, nn.Linear) else "conv {}x{}".format(*m.kernel_size) for _, m in modules
    ]
    found = alike([n for n, _ in modules], kinds, ["downsample" not in n for n, _ in modules])
    assert (found.noun, len(found.parts)) == (noun, count)
    assert all(len(part) == layers for part in found.parts)


def test_a_trend_is_a_rank_correlation_with_depth():
    assert trend(np.array([1.0, 2, 30, 31])) == pytest.approx(1)
    assert trend(np.array([9.0, 8, 1, 0])) == pytest.approx(-1)
    assert abs(trend(np.array([1.0, 9, 2, 8, 1.5, 9.5, 1.2]))) < 0.5
    assert trend(np.ones(5)) == 0
    assert trend(np.ones(1)) == 0


def test_layers_say_what_they_are():
    images, labels = noise(2)
    flow = rx.gradient_flow(torchvision.models.resnet50(num_classes=10), images, labels)
    about = dict(zip(flow.names, zip(flow.kinds, flow.on_path, strict=True), strict=True))
    assert len(about) == 54
    assert flow.names[:4] == ("conv1", "layer1.0.conv1", "layer1.0.conv2", "layer1.0.conv3")
    assert about["conv1"] == ("conv 7x7", True)
    assert about["layer2.0.conv3"] == ("conv 1x1", True)
    assert about["fc"] == ("linear", True)
    assert [name for name in flow.names if not about[name][1]] == [
        f"layer{i}.0.downsample.0" for i in range(1, 5)
    ]


def busy():
    """Everything that a pass in train mode disturbs: running statistics, dropout, gradients in waiting."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.Dropout2d(0.5),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10),
    )  # fmt: skip
    net(noise()[0]).sum().backward()
    net[1].eval()
    net[7].bias.requires_grad_(False)
    return net


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_model_and_random_state_are_left_as_found_so_that_measuring_twice_gives_the_same(mode):
    net = busy()
    images, labels = noise()
    mine = images.clone()
    before, state = fingerprint(net), torch.get_rng_state()
    first = rx.gradient_flow(net, images, labels, mode)
    assert fingerprint(net) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, mine)
    again = rx.gradient_flow(net, images, labels, mode)
    assert np.array_equal(first.weight_gradient_norms, again.weight_gradient_norms)


@pytest.mark.parametrize("where", range(8))
def test_model_is_left_as_found_when_a_module_raises(where):
    def sabotage(module, args, output):
        raise ArithmeticError

    net = busy()
    net[where].register_forward_hook(sabotage)
    before, state = fingerprint(net), torch.get_rng_state()
    with pytest.raises(ArithmeticError):
        rx.gradient_flow(net, *noise())
    assert fingerprint(net) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_one_forward_and_one_backward_pass():
    net, passes = rx.build("cifar_resnet8"), []

    def count(module, args, output):
        passes.append("forward")
        output.register_hook(lambda gradient: passes.append("backward"))

    net.register_forward_hook(count)
    rx.gradient_flow(net, *noise())
    assert passes == ["forward", "backward"]


def test_shared_and_reparametrised_weights():
    torch.manual_seed(0)
    shared = nn.Conv2d(3, 3, 3, padding=1)
    head = nn.utils.parametrizations.weight_norm(nn.Linear(3, 10))
    net = nn.Sequential(shared, nn.ReLU(), shared, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    images, labels = noise()
    flow = rx.gradient_flow(net, images, labels)
    assert flow.names == ("0:1", "0:2", "5")

    features = net[:5](images)
    weight = head.weight.detach().requires_grad_()
    F.cross_entropy(features @ weight.T + head.bias, labels).backward()
    np.testing.assert_allclose(
        flow.weight_gradient_norms,
        [shared.weight.grad.norm(), shared.weight.grad.norm(), weight.grad.norm()],
        rtol=1e-5,
    )


def test_weights_of_another_kind_are_named():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(21, 8), nn.utils.parametrizations.weight_norm(nn.Linear(8, 5))
            self.lstm = nn.LSTM(8, 8, batch_first=True)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, images):
            words, _ = self.lstm(self.first(images.permute(0, 2, 1, 3).flatten(2)))
            return self.last(self.attention(words, words, words)[0][:, -1])

    flow = rx.gradient_flow(Mixed(), torch.randn(4, 3, 5, 7), torch.tensor([0, 1, 2, 3]))
    assert flow.names == ("first", "last")
    assert flow.unmeasured == ("lstm (LSTM)", "attention (MultiheadAttention)")
    assert "Not measured: lstm (LSTM), attention (MultiheadAttention)." in str(flow)
    assert rx.gradient_flow(rx.build("cifar_resnet8"), *noise()).unmeasured == ()


def test_own_loss_and_a_layer_that_it_does_not_depend_on():
    class TwoHeads(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 2), nn.Linear(3, 4)

        def forward(self, x):
            x = x.mean((2, 3))
            return {"first": self.first(x), "second": self.second(x)}

    net = TwoHeads()
    images, _ = noise()
    target = torch.zeros(6, 2)
    flow = rx.gradient_flow(net, images, target, loss=lambda out, y: F.mse_loss(out["first"], y))
    assert flow.loss == pytest.approx(net(images)["first"].square().mean().item())
    assert flow.names == ("first", "second")
    assert flow.weight_gradient_norms[0] > 0
    assert flow.weight_gradient_norms[1] == flow.activation_gradient_norms[1] == 0
    assert flow.kinds == ("linear", "linear")
    with pytest.raises(
        rx.ExploreError, match=r"must return logits of shape .*not a dict of .*; for other outputs"
    ):
        rx.gradient_flow(net, images, target)


def test_large_norms_are_exact_and_infinite_ones_returned():
    net = nn.Sequential(nn.Conv2d(3, 1, 1), nn.Flatten(), nn.Linear(24 * 40, 10))
    images, labels = noise()
    with torch.no_grad():
        net[0].weight.fill_(1e25)  # its square is beyond float32
    flow = rx.gradient_flow(net, images, labels)
    assert flow.weight_norms[0] == pytest.approx(3**0.5 * 1e25, rel=1e-6)
    assert flow.finite
    with torch.no_grad():
        net[0].weight.fill_(torch.inf)
    flow = rx.gradient_flow(net, images, labels)
    assert not flow.finite
    assert flow.weight_norms[0] == math.inf


def test_trouble_names_the_first_number_that_is_not_finite():
    net = rx.build("cifar_resnet8")
    assert rx.gradient_flow(net, IMAGES, LABELS).trouble == ""
    with torch.no_grad():
        net.layer2[0].bn1.bias.fill_(math.nan)
    flow = rx.gradient_flow(net, IMAGES, LABELS)
    assert not flow.finite
    assert flow.trouble == "The output of layer2.0.conv2 is not a number, and what comes after it follows."
    net = rx.build("cifar_resnet8")
    infinite = rx.gradient_flow(net, IMAGES, LABELS, loss=lambda out, _: out.sum() * math.inf)
    assert infinite.trouble == "The loss is infinite, though the output of every layer is finite."
    with torch.no_grad():
        net.layer1[0].conv2.weight.mul_(1e30)
        net.layer1[0].bn2.eps = 1e30
    steep = rx.gradient_flow(net, IMAGES, LABELS, loss=lambda out, _: (out.sum() * 1e30).square())
    assert not steep.finite
    net.layer1[0].conv1.weight.data[0, 0, 0, 0] = math.inf
    flow = rx.gradient_flow(net, IMAGES, LABELS)
    assert flow.trouble.startswith("The weight of layer1.0.conv1 is infinite")

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * math.inf

    net = rx.build("cifar_resnet8")
    net.layer3[0].relu1.register_forward_hook(lambda module, args, output: Spike.apply(output))
    flow = rx.gradient_flow(net, IMAGES, LABELS)
    assert "from layer3.0.conv1 on towards the input" in flow.trouble


def test_growth_and_relative_gradients():
    flow = flow_with(["conv 3x3"] * 6, [99, 16, 8, 4, 2, 99])
    assert flow.growth == pytest.approx(2)
    assert flow.relative_gradients.tolist() == [1] * 6
    side = flow_with(
        ["conv 3x3"] * 7, [99, 16, 8, 1e9, 4, 2, 99], [True, True, True, False, True, True, True]
    )
    assert side.growth == pytest.approx(2)
    assert flow_with(["conv 3x3"] * 6, [99, 16, 0, math.inf, 2, 99]).growth == pytest.approx(2)
    assert math.isnan(flow_with(["conv 3x3"] * 3, [1, 2, 3]).growth)
    flow = rx.gradient_flow(rx.build("cifar_resnet8"), IMAGES, LABELS)
    np.testing.assert_array_equal(flow.relative_gradients, flow.weight_gradient_norms / flow.weight_norms)


def test_bfloat16_is_measured_and_float16_is_not():
    net = rx.build("cifar_resnet8")
    exact = rx.gradient_flow(net, IMAGES, LABELS)
    coarse = rx.gradient_flow(net.bfloat16(), IMAGES, LABELS)
    np.testing.assert_allclose(coarse.weight_gradient_norms, exact.weight_gradient_norms, rtol=0.2)
    with pytest.raises(rx.ExploreError, match=r"in float16, where gradients below 6e-8 become 0"):
        rx.gradient_flow(net.half(), IMAGES, LABELS)


def test_norms_of_any_size_are_exact():
    for scale in (1e-30, 1e-12, 1.0, 1e12, 1e25):
        tensor = torch.randn(40, 30, generator=torch.Generator().manual_seed(0)) * scale
        for dtype in (torch.float32, torch.bfloat16, torch.float64):
            cast = tensor.to(dtype)
            assert norm(cast).item() == pytest.approx(cast.double().square().sum().sqrt().item(), rel=1e-5)
    assert norm(torch.zeros(3)).item() == 0
    assert math.isnan(norm(torch.tensor([1.0, math.nan])).item())


def test_results_can_not_be_overwritten():
    flow = rx.gradient_flow(rx.build("cifar_resnet8"), *noise())
    with pytest.raises(ValueError, match="read-only"):
        flow.weight_norms[0] = 0
    with pytest.raises(AttributeError):
        flow.mode = "eval"


IMAGES, LABELS = noise()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"mode": "trian"}, "Unknown mode 'trian': did you mean 'train'"),
        ({"images": IMAGES[0]}, r"not \(3, 24, 40\); for a single image pass image\[None\]"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, r"nothing empty, not \(0, 3, 24, 40\)"),
        ({"images": (IMAGES * 255).byte()}, r"images must be a float tensor.*not torch\.uint8"),
        ({"images": IMAGES.numpy()}, "images must be a float tensor.*not ndarray"),
        ({"images": IMAGES[:, :1]}, r"a ResNet, can't take images of shape \(6, 1, 24, 40\): .* 3 channels"),
        ({"images": IMAGES[:1], "labels": LABELS[:1]}, "two or more in train mode"),
        ({"labels": None}, "labels are missing: pass one class index per image, or a loss that needs none"),
        ({"labels": LABELS[:4]}, r"labels must be 6 whole numbers, one per image, not int64 of shape \(4,\)"),
        ({"labels": LABELS[:, None]}, r"labels must be 6 whole numbers.*shape \(6, 1\)"),
        ({"labels": LABELS.float()}, "labels must be 6 whole numbers.*not float32"),
        ({"labels": [0, 1, 2, 3, 4, 10]}, r"labels must lie in 0\.\.9.*got 10"),
        ({"labels": [0, 1, -1, 3, 4, 5]}, r"labels must lie in 0\.\.9.*got -1"),
        ({"model": "cifar_plain20"}, r"a torch.nn.Module, not str: resnet_explore.build\('cifar_plain20'\)"),
        ({"model": IMAGES.sum}, r"model must be a torch.nn.Module, not \w+\."),
        ({"loss": lambda output, labels: output}, "loss must return one number"),
        ({"loss": lambda output, labels: output.detach().sum()}, "loss must return one number"),
        ({"loss": lambda output, labels: 3.0}, "loss must return one number"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_changes_nothing(arguments, sentence):
    net = rx.build("cifar_resnet8")
    before = fingerprint(net)
    with pytest.raises(rx.ExploreError, match=sentence) as caught:
        rx.gradient_flow(**{"model": net, "images": IMAGES, "labels": LABELS, **arguments})
    assert "\n" not in str(caught.value)
    assert fingerprint(net) == before


def test_models_without_gradients_to_measure():
    net = rx.build("cifar_resnet8").requires_grad_(False)
    with pytest.raises(rx.ExploreError, match="all 8 convolutions and linear layers that ran are frozen"):
        rx.gradient_flow(net, IMAGES, LABELS)
    with pytest.raises(rx.ExploreError, match="no convolution or linear layer"):
        rx.gradient_flow(nn.Flatten(), IMAGES, LABELS)


@pytest.mark.parametrize("frozen", [("conv1", "layer1"), ("layer2",)])
def test_a_partly_frozen_network_is_measured(frozen):
    """As in fine-tuning: what is frozen has no weight gradient, but passes on all others."""
    net = rx.build("cifar_resnet14")
    expected = rx.gradient_flow(net, IMAGES, LABELS)
    for name in frozen:
        net.get_submodule(name).requires_grad_(False)
    before = fingerprint(net)
    flow = rx.gradient_flow(net, IMAGES, LABELS)
    assert fingerprint(net) == before
    still = np.array([name.startswith(frozen) for name in flow.names])
    assert flow.frozen == tuple(still)
    expected_gradients = np.where(still, np.nan, expected.weight_gradient_norms)
    np.testing.assert_allclose(flow.weight_gradient_norms, expected_gradients, rtol=1e-4)
    for field in ("activation_norms", "activation_gradient_norms", "weight_norms"):
        np.testing.assert_allclose(getattr(flow, field), getattr(expected, field), rtol=1e-4)
    assert flow.finite
    assert math.isfinite(flow.ratio), "of blocks that are trained"
    assert f"{still.sum()} of 14 layers are frozen." in str(flow)


def test_images_that_hold_nan_are_named():
    images = IMAGES.clone()
    images[0, 0, 0, 0] = math.nan
    flow = rx.gradient_flow(rx.build("cifar_resnet8"), images, LABELS)
    assert flow.trouble.startswith("The images hold numbers that are not finite")


def test_gradients_switched_off_make_no_difference():
    net = rx.build("cifar_resnet8")
    expected = rx.gradient_flow(net, IMAGES, LABELS)
    with torch.inference_mode():
        flow = rx.gradient_flow(net, IMAGES + 0, LABELS + 0)
    assert np.array_equal(flow.weight_gradient_norms, expected.weight_gradient_norms)


def test_one_image_in_eval_mode_and_plain_lists_as_labels_are_fine():
    flow = rx.gradient_flow(rx.build("cifar_resnet8"), IMAGES[:1].double(), [3], mode="eval")
    assert flow.batch_size == 1


def test_norms_of_many_are_those_of_each():
    tensors = [torch.randn(3, 5), torch.zeros(4), torch.full((7, 2), 1e30), torch.full((5,), 1e-30)]
    tensors += [torch.tensor([1.0, math.inf]), torch.tensor([math.nan, 2.0])]
    truth = np.array([float(torch.linalg.vector_norm(t.double())) for t in tensors])
    np.testing.assert_allclose(each_norm(tensors).numpy(), truth, rtol=1e-6)
    wide = [t.double() for t in tensors]
    np.testing.assert_allclose(each_norm(wide).numpy(), truth, rtol=1e-12)


def test_a_detector_in_train_mode_is_refused_in_a_sentence():
    detector = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=2
    )
    with pytest.raises(rx.ExploreError, match="does not run on images alone in train mode"):
        rx.gradient_flow(detector, torch.rand(2, 3, 96, 128), torch.zeros(2, dtype=torch.long))
    assert detector.training
