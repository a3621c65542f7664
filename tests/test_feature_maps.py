"""Maps and their statistics against slow re-derivations; which layers are chosen; receptive fields."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import assume, given, settings, strategies as st
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.activations.feature_maps import difference, feature_maps, whole_map
from resnet_explore.analysis.topology.map_layers import first_filters, map_names
from resnet_explore.analysis.wrapped import unwrapped
from resnet_explore.models.summary import receptive_fields

IMAGES = torch.randn(3, 3, 40, 56, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def model():
    return rx.build("cifar_resnet8", weights=None)


@pytest.fixture(scope="module")
def maps(model):
    return feature_maps(model, IMAGES)


def test_maps_are_what_the_layers_gave_for_the_first_image(model, maps):
    with rx.Capture(model, list(maps)) as seen, torch.no_grad():
        model(IMAGES)
    assert list(maps) == ["layer1.0", "layer2.0", "layer3.0"]
    for name, layer in maps.items():
        assert np.array_equal(layer.maps, seen.outputs[name][0].numpy())
        assert layer.shape == seen.outputs[name].shape[1:]
        # A batch of another size may be summed in another order.
        assert whole_map(model, IMAGES[:1], name) == pytest.approx(layer.maps, abs=1e-4)
        assert whole_map(model, IMAGES[:1], name, "skip") == pytest.approx(layer.skip, abs=1e-4)
        assert layer.ratio == pytest.approx(
            np.linalg.norm(layer.branch) / np.linalg.norm(layer.skip), rel=1e-5
        )


def test_statistics_by_hand(model, maps):
    with rx.Capture(model, "layer2.0") as seen, torch.no_grad():
        model(IMAGES)
    values, found = seen.outputs["layer2.0"].double().numpy(), maps["layer2.0"].statistics
    assert found.count == 3 * 20 * 28
    for c in range(32):
        one = values[:, c].ravel()
        expected = one.mean(), one.std(), (one == 0).mean(), one.min(), one.max()
        got = [getattr(found, n)[c] for n in ("mean", "std", "zeros", "low", "high")]
        assert got == pytest.approx(expected, rel=1e-5, abs=1e-7)
    mean, std, zeros = found.overall
    assert (mean, std, zeros) == pytest.approx((values.mean(), values.std(), (values == 0).mean()), rel=1e-5)


def test_responses_are_those_of_norms_on_the_main_path(model, maps):
    with rx.Capture(model, list(maps.responses)) as seen, torch.no_grad():
        model(IMAGES)
    assert list(maps.responses) == ["bn1", *(f"layer{k}.0.bn{j}" for k in (1, 2, 3) for j in (1, 2))]
    for name, std in maps.responses.items():
        assert std == pytest.approx(float(seen.outputs[name].double().std(correction=0)), rel=1e-5)


def test_large_maps_are_averaged_over_patches(model, maps):
    small = feature_maps(model, IMAGES, largest=14)["layer1.0"]
    assert small.shape == (16, 40, 56)
    assert small.maps.shape == (16, 10, 14)
    patches = maps["layer1.0"].maps.reshape(16, 10, 4, 14, 4).mean((2, 4))
    assert small.maps == pytest.approx(patches, rel=1e-4, abs=1e-6)
    assert small.statistics.count == 3 * 40 * 56, "statistics are over the whole maps"
    fewer = maps.within(9000)
    assert sum(layer.maps.size for layer in fewer.values()) <= 9000
    assert fewer["layer1.0"].maps.mean() == pytest.approx(maps["layer1.0"].maps.mean(), rel=1e-4)
    assert maps.within(10**9)["layer1.0"].maps.shape == (16, 40, 56)


def test_dead_and_saturated_channels():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU6(), nn.Conv2d(4, 4, 1), nn.Sigmoid())
    with torch.no_grad():
        net[0].bias.copy_(torch.tensor([-100.0, 100.0, 0.0, 0.1]))
        net[2].weight.zero_()
        net[2].bias.copy_(torch.tensor([20.0, 0.0, -60.0, 20.0]))
    found = feature_maps(net, IMAGES)
    assert found["1"].statistics.dead.tolist() == [True, False, False, False]
    assert found["1"].statistics.saturated.tolist() == [False, True, False, False]
    assert found["3"].statistics.dead.tolist() == [False, False, True, False]
    assert found["3"].statistics.saturated.tolist() == [True, False, False, True]


def test_a_single_place_is_not_saturated():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.ReLU())
    assert not feature_maps(net, IMAGES[:1])["2"].statistics.saturated.any()


def test_difference_needs_equal_shapes(model, maps):
    other = feature_maps(rx.build("cifar_plain8"), IMAGES)
    found = difference(maps["layer1.0"], other["layer1.0"])
    expected = [
        np.abs(a - b).mean() for a, b in zip(maps["layer1.0"].maps, other["layer1.0"].maps, strict=True)
    ]
    assert found == pytest.approx(expected)
    assert difference(maps["layer1.0"], maps["layer2.0"]) is None


def test_first_filters(model):
    name, weights = first_filters(model)
    assert name == "conv1"
    assert np.array_equal(weights, model.conv1.weight.detach().numpy())
    assert first_filters(nn.Linear(2, 2)) is None


class DoubleConv(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(width, width, 3), nn.ReLU(), nn.Conv2d(width, width, 3))

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: rx.build("cifar_plain14"), [f"layer{s}.{b}" for s in (1, 2, 3) for b in (0, 1)]),
        (lambda: torchvision.models.resnet18(), [f"layer{s}.{b}" for s in (1, 2, 3, 4) for b in (0, 1)]),
        (
            lambda: torchvision.models.vgg11(init_weights=False).features,
            ["1", "4", "7", "9", "12", "14", "17", "19"],
        ),
        (lambda: nn.Sequential(*(DoubleConv(3) for _ in range(3))), ["0", "1", "2"]),
        (lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)), ["0", "1"]),
    ],
    ids=["ours", "torchvision", "vgg", "blocks", "convolutions"],
)
def test_which_layers_are_shown(make, expected):
    with torch.device("meta"):
        assert map_names(make()) == expected


@pytest.mark.parametrize(
    ("name", "count", "kind"),
    [
        ("mobilenet_v3_small", 11, "InvertedResidual"),
        ("efficientnet_b0", 16, "MBConv"),
        ("convnext_tiny", 18, "CNBlock"),
    ],
)
def test_squeeze_and_excitation_is_no_block(name, count, kind):
    with torch.device("meta"):
        net = torchvision.models.get_model(name)
        names = map_names(net)
    assert [type(net.get_submodule(n)).__name__ for n in names] == [kind] * count


def test_densenet_shows_its_dense_layers():
    with torch.device("meta"):
        names = map_names(torchvision.models.densenet121())
    assert len(names) == 58
    assert names[0] == "features.denseblock1.denselayer1"


class Odd(nn.Module):
    """Calls one ReLU twice, works in place, and returns a dict of lists."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)

    def forward(self, x):
        first = self.relu(self.conv(x))
        return {"maps": [self.relu(first - 1)], "label": "none"}


def test_shared_in_place_layers_and_odd_outputs():
    net = Odd()
    found = feature_maps(net, IMAGES)
    first = torch.relu(net.conv(IMAGES))
    assert list(found) == ["relu:1", "relu:2"]
    assert np.array_equal(found["relu:1"].maps, first[0].detach().numpy())
    assert np.array_equal(found["relu:2"].maps, torch.relu(first - 1)[0].detach().numpy())


@pytest.mark.parametrize(
    ("net", "says"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(6720, 2)), "has no 2-D convolution"),
        (nn.Conv2d(5, 2, 3), "can't take images of shape"),
        (nn.Bilinear(2, 2, 2), "has no 2-D convolution"),
        (nn.Sequential(nn.Conv2d(3, 2, 1), nn.Unflatten(1, (2, 7))), "can't take images of shape"),
    ],
    ids=["linear", "channels", "two inputs", "raises"],
)
def test_what_has_no_maps_is_a_sentence_and_leaves_the_model(net, says):
    before = fingerprint(net)
    with pytest.raises(rx.ExploreError, match=says):
        feature_maps(net, IMAGES)
    assert fingerprint(net) == before


def test_the_model_is_left_as_it_was():
    net = torchvision.models.mobilenet_v3_small(num_classes=4).train()
    before = fingerprint(net)
    feature_maps(net, IMAGES, largest=8)
    assert fingerprint(net) == before


def test_unwrapped():
    net = rx.build("cifar_resnet8")
    assert unwrapped(net) is net
    assert unwrapped(nn.DataParallel(net)) is net
    assert unwrapped(torch.compile(net, backend="eager")) is net
    with pytest.raises(rx.ExploreError, match=r"must be a torch.nn.Module, not str"):
        unwrapped("resnet50")
    with pytest.raises(rx.ExploreError, match="meta device"), torch.device("meta"):
        unwrapped(nn.Conv2d(1, 1, 1))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")
def test_torchscript_is_refused():
    with pytest.raises(rx.ExploreError, match="TorchScript"):
        unwrapped(torch.jit.script(nn.Conv2d(1, 1, 1)))


# --- receptive fields ------------------------------------------------------------------------------------

LAYERS = st.one_of(
    st.tuples(st.sampled_from([1, 2, 3, 5]), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2)).map(
        lambda a: nn.Conv2d(2, 2, a[0], a[1], a[2], a[3])
    ),
    st.tuples(st.integers(2, 3), st.integers(1, 2), st.integers(0, 1)).map(lambda a: nn.AvgPool2d(*a)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(LAYERS, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_receptive_fields_are_where_gradients_reach(layers, random):
    net = nn.Sequential(*layers).double()
    image = torch.randn(1, 2, 70, 90, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(0.5, 1.0)  # all positive: nothing cancels
    try:
        output = net(image)
    except RuntimeError:  # a kernel larger than what is left of the image
        assume(False)
    window = receptive_fields(net, (2, 70, 90))[str(len(layers) - 1)]
    place = [random.randrange(n) for n in output.shape[2:]]
    gradient = torch.autograd.grad(output[0, :, place[0], place[1]].sum(), image)[0][0].sum(0)
    reached = gradient.nonzero()
    for axis, size in enumerate((70, 90)):
        first = window.start[axis] + place[axis] * window.jump[axis]
        inside = max(first, 0), min(first + window.field[axis], size) - 1
        if len(reached):
            assert reached[:, axis].min() >= inside[0]
            assert reached[:, axis].max() <= inside[1]
        if window.field[axis] == 1 or all(getattr(m, "dilation", (1,))[0] == 1 for m in layers):
            holes = any(m.stride > k for m, k in _windows(layers))
            if len(reached) and not holes:
                assert (int(reached[:, axis].min()), int(reached[:, axis].max())) == inside


def _windows(layers):
    """Yield (layer with .stride as a number, its kernel): a stride above the kernel leaves holes."""
    for layer in layers:
        kernel = layer.kernel_size if isinstance(layer.kernel_size, int) else layer.kernel_size[0]
        stride = layer.stride if isinstance(layer.stride, int) else layer.stride[0]
        yield type("W", (), {"stride": stride}), kernel


def test_receptive_fields_of_known_networks():
    found = receptive_fields(rx.build("resnet50"))
    assert found["layer1.0"].field == (19, 19)  # 7x7 / 2, 3x3 / 2, then one 3x3 at a jump of 4
    assert found["layer1.0"].start == (-9, -9)
    assert found["layer4.2"].jump == (32, 32)
    assert "avgpool" not in found


def test_tokens_are_looked_at_as_maps():
    net = torchvision.models.VisionTransformer(64, 16, 2, 2, 8, 16, num_classes=3)
    images = torch.rand(2, 3, 64, 64)
    found = feature_maps(net, images)
    assert list(found) == [f"encoder.layers.encoder_layer_{k}" for k in range(2)]
    seen = []
    net.encoder.layers[1].register_forward_hook(lambda module, args, output: seen.append(output.detach()))
    net.eval()(images)
    tokens = seen[0][:, 1:].transpose(1, 2).unflatten(2, (4, 4))
    layer = found["encoder.layers.encoder_layer_1"]
    assert layer.shape == (8, 4, 4)
    assert layer.maps == pytest.approx(tokens[0].numpy(), abs=1e-5)
    assert layer.statistics.mean == pytest.approx(tokens.mean((0, 2, 3)).numpy(), abs=1e-5)
    assert layer.layout.startswith("16 tokens laid out as a map of 4×4; the first of 17")
    assert list(feature_maps(net, images, layers="encoder.layers.encoder_layer_0.mlp.1")) == [
        "encoder.layers.encoder_layer_0.mlp.1"
    ]
    with pytest.raises(rx.ExploreError, match=r"gave no maps .* nothing tells where on the image"):
        feature_maps(net, images, layers="heads")


def test_threads_that_look_at_one_model_see_their_own_passes():
    model, images = rx.build("cifar_resnet8", seed=0), torch.rand(2, 3, 24, 40)
    truth = rx.feature_maps(model, images)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: rx.feature_maps(model, images), range(24)))
    assert all(list(one) == list(truth) for one in found)
