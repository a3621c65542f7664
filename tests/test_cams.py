import functools

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from witnesses import derivatives, fingerprint, thin_resnet

import resnet_explore as rx
from resnet_explore.analysis.explain.maps import weighted_sum
from resnet_explore.analysis.explain.methods.registry import BLOCKS, METHODS, methods
from resnet_explore.analysis.topology.cam_layers import block_names, choose_layers

NARROW = {"widths": (8, 16, 32, 64), "stem_width": 8}
NETS = {
    "torchvision basic": lambda: thin_resnet(BasicBlock, [1, 2, 1, 1], 10),
    "torchvision resnext": lambda: ResNet(
        Bottleneck, [1, 2, 1, 1], num_classes=10, groups=4, width_per_group=8
    ),
    "cifar_resnet14": lambda: rx.build("cifar_resnet14"),
    "cifar_plain14": lambda: rx.build("cifar_plain14"),
    "resnet18": lambda: rx.build("resnet18", num_classes=10, **NARROW),
}
IMAGES = torch.randn(3, 3, 40, 72, generator=torch.Generator().manual_seed(0))


def lived_in(net):
    """Give a fresh network running statistics of its own, as a trained one has."""
    torch.manual_seed(0)
    net.train()
    with torch.no_grad():
        net(torch.randn(4, 3, 40, 72) + 0.3)
    return net.eval()


@pytest.fixture(params=NETS, scope="module")
def net(request):
    torch.manual_seed(0)
    return lived_in(NETS[request.param]()).double()


def test_grad_cam_is_captum_s_at_every_block(net):
    from captum.attr import LayerGradCam

    targets = torch.tensor([1, 7, 3])
    images = IMAGES.double()
    maps = rx.class_activation_maps(net, images, targets)
    assert list(maps) == block_names(net)
    for layer, cam in maps.items():
        theirs = LayerGradCam(net, net.get_submodule(layer)).attribute(
            images, target=targets, relu_attributions=False
        )
        torch.testing.assert_close(cam, theirs[:, 0].detach(), rtol=1e-6, atol=1e-9 * cam.abs().max().item())
        assert cam.shape[1] < cam.shape[2]
    assert (maps["layer2.0"] < 0).any()
    assert (maps["layer2.0"] > 0).any()


def cam_of(method, activations, gradients):
    """The map of a formula; (N, h, w)."""
    return weighted_sum(METHODS[method].formula(activations, gradients), activations)


def by_loops(method, activation, gradient):
    """The papers' formulas without their ReLU, channel by channel and place by place; (N, h, w)."""
    cam = np.zeros(activation[:, 0].shape)
    for n, k in np.ndindex(activation.shape[:2]):
        for place in np.ndindex(cam.shape[1:]):
            weight = WEIGHTS[method](activation[n, k], gradient[n, k], place)
            cam[n][place] += weight * activation[n, k][place]
    return cam


def plus_plus_by_loops(a, g, place):
    total = sum(a.flat)
    alphas = [0 if x == 0 else x**2 / (2 * x**2 + total * x**3) for x in g.flat]
    return sum(alpha * max(x, 0) for alpha, x in zip(alphas, g.flat, strict=True))


# Of each formula the weight of one channel at one place; (a, g) are its activations and gradients, (h, w).
WEIGHTS = {
    "grad_cam": lambda a, g, place: sum(g.flat) / g.size,
    "grad_cam_plus_plus": plus_plus_by_loops,
    "hirescam": lambda a, g, place: g[place],
    "xgrad_cam": lambda a, g, place: (
        sum(x * y for x, y in zip(g.flat, a.flat, strict=True)) / (sum(a.flat) or 1)
    ),
    "layercam": lambda a, g, place: max(g[place], 0),
}


def test_every_formula_is_derived_again():
    """All channels of Eigen-CAM are weighed together, which has a test of its own."""
    assert {*WEIGHTS, "eigen_cam"} == set(methods(BLOCKS))


@functools.cache
def derived(*targets):
    """Return a network of torchvision, and all its outputs and gradients without our code."""
    net, images = lived_in(thin_resnet(BasicBlock, [2, 2, 2, 2], 10)).double(), IMAGES.double()
    outputs, gradients, _ = derivatives(net, lambda model: model(images)[range(3), targets].sum())
    return net, outputs, gradients


@pytest.mark.parametrize("method", WEIGHTS)
@pytest.mark.parametrize("layer", ["layer2.0.conv2", "layer3.1", "layer4.1.bn1"])
def test_methods_follow_their_formula(method, layer):
    targets = (2, 0, 9)
    net, outputs, gradients = derived(*targets)
    cam = rx.class_activation_maps(net, IMAGES.double(), targets, layer, method)[layer]
    expected = by_loops(method, outputs[layer].numpy()[:, :5], gradients[layer].numpy()[:, :5])
    part = cam_of(method, outputs[layer][:, :5], gradients[layer][:, :5])
    np.testing.assert_allclose(part.numpy(), expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())
    np.testing.assert_allclose(cam, cam_of(method, outputs[layer], gradients[layer]), rtol=1e-6)


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (2, 40, 3, 4), (1, 6, 2, 3)])
@pytest.mark.parametrize("relu", [True, False])
def test_eigen_cam_projects_on_the_first_singular_vector(shape, relu):
    a = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    a = a.relu() if relu else a
    for one, cam in zip(a, cam_of("eigen_cam", a, a), strict=True):
        matrix = one.flatten(1).T.numpy()
        projection = (matrix @ np.linalg.svd(matrix)[2][0]).reshape(shape[2:])
        assert np.allclose(cam, projection) or np.allclose(cam, -projection)
        assert (cam * one.sum(0)).sum() >= 0
        if relu:
            assert (cam >= -1e-9).all()


@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize(
    ("method", "peer"),
    [
        ("grad_cam", "GradCAM"),
        ("grad_cam_plus_plus", "GradCAMPlusPlus"),
        ("hirescam", "HiResCAM"),
        ("xgrad_cam", "XGradCAM"),
        ("layercam", "LayerCAM"),
        ("eigen_cam", "EigenCAM"),
        ("score_cam", "ScoreCAM"),
        ("ablation_cam", "AblationCAM"),
    ],
)
def test_methods_are_those_of_pytorch_grad_cam(method, peer):
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    net, images, layer = trained(), IMAGES.double()[:2, :, :24, :32], "layer1.0"
    targets = net(images).argmax(1).tolist()
    maps = rx.class_activation_maps(net, images, targets, layer, method)
    with getattr(pytorch_grad_cam, peer)(net, [net.get_submodule(layer)]) as theirs:
        wanted = [ClassifierOutputTarget(target) for target in targets]
        theirs(images, wanted)
        a, g = theirs.activations_and_grads.activations[0], theirs.activations_and_grads.gradients
        g = 1e4 * g[0] if g else a  # large, as they add small numbers to what they divide by
        expected = theirs.get_cam_image(
            images, theirs.target_layers[0], wanted, a.numpy(), g.numpy(), eigen_smooth=False
        )
    if method == "eigen_cam":  # they centre, and leave the sign to chance
        centred = a - a.mean((2, 3), keepdim=True)
        mine = cam_of(method, centred, centred)
        signs = np.sign((mine.numpy() * expected).sum((1, 2), keepdims=True))
        np.testing.assert_allclose(mine, expected * signs, rtol=1e-4, atol=1e-6)
        return
    mine = cam_of(method, a, g) if method in methods(BLOCKS) else maps[layer]
    np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    if method in methods(BLOCKS):
        torch.testing.assert_close(cam_of(method, a, g / 1e4), maps[layer])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("method", "peer"),
    [("grad_cam", "GradCAM"), ("xgrad_cam", "XGradCAM"), ("layercam", "LayerCAM")],
)
def test_methods_are_those_of_torchcam_at_every_block(method, peer):
    import torchcam.methods

    net, images = trained(), IMAGES.double()
    targets = [3, 4, 1]
    layers = block_names(net)
    maps = rx.class_activation_maps(net, images, targets, layers, method)
    with getattr(torchcam.methods, peer)(net, [net.get_submodule(layer) for layer in layers]) as theirs:
        cams = theirs(targets, net(images), normalized=False)
    for layer, cam in zip(layers, cams, strict=True):
        mine = maps[layer].relu()
        torch.testing.assert_close(mine, cam.detach(), rtol=1e-4, atol=1e-4 * float(cam.max()))


def trained():
    net = rx.build("cifar_resnet8", seed=3)
    return lived_in(net).double()


@pytest.mark.parametrize("name", ["cifar_resnet14", "cifar_plain14", "resnet18"])
def test_before_global_pooling_and_one_linear_layer_three_methods_are_one_and_sum_to_the_logit(name):
    net = lived_in(NETS[name]()).double()
    last = block_names(net)[-1]
    cam = rx.class_activation_maps(net, IMAGES, layers=last)
    for method in ("hirescam", "xgrad_cam"):
        other = rx.class_activation_maps(net, IMAGES, layers=last, method=method)
        torch.testing.assert_close(cam[last], other[last], rtol=1e-6, atol=1e-12)
    # The mean gradient is w / hw, so the map's sum is the logit without its bias (Zhou et al. 2016, CAM).
    logit = cam.logits.gather(1, cam.targets[:, None])[:, 0] - net.fc.bias[cam.targets]
    torch.testing.assert_close(cam[last].sum((1, 2)), logit.detach(), rtol=1e-6, atol=1e-12)
    assert torch.equal(cam.scores, cam.logits.gather(1, cam.targets[:, None])[:, 0])
    middle = block_names(net)[len(block_names(net)) // 2]
    different = [rx.class_activation_maps(net, IMAGES, None, middle, m)[middle] for m in methods(BLOCKS)]
    for i, one in enumerate(different):
        assert not any(torch.allclose(one, other, rtol=0.1) for other in different[:i])


def test_the_same_identity_in_single_precision_after_scaling_to_0_1():
    net = lived_in(NETS["resnet18"]())
    methods = ("grad_cam", "hirescam", "xgrad_cam")
    cams = [rx.class_activation_maps(net, IMAGES, 1, "layer4.1", m).positive()["layer4.1"] for m in methods]
    first, *rest = [cam / cam.amax((1, 2), keepdim=True) for cam in cams]
    for other in rest:
        torch.testing.assert_close(first, other, rtol=0, atol=2e-6)


def test_all_blocks_cost_one_forward_and_one_backward_pass():
    net, passes = rx.build("cifar_resnet14"), []

    def count(module, args, output):
        passes.append("forward")
        output.register_hook(lambda gradient: passes.append("backward"))

    net.register_forward_hook(count)
    net.layer1[0].conv1.register_forward_hook(
        lambda module, args, output: output.register_hook(lambda g: passes.append("too far")) and None
    )
    assert len(rx.class_activation_maps(net, IMAGES)) == 6
    assert passes == ["forward", "backward"]


def test_each_image_has_its_own_target_and_gradient(net):
    together = rx.class_activation_maps(net, IMAGES, [5, 0, 2])
    for i, target in enumerate([5, 0, 2]):
        alone = rx.class_activation_maps(net, IMAGES[i : i + 1], target)
        for layer in together:
            scale = alone[layer].abs().max().item()
            torch.testing.assert_close(together[layer][i], alone[layer][0], rtol=1e-6, atol=1e-9 * scale)


@pytest.mark.parametrize("targets", [4, np.int64(4), torch.tensor(4), [4, 4, 4], (4, 4, 4), np.full(3, 4)])
def test_ways_to_name_the_targets(targets):
    maps = rx.class_activation_maps(rx.build("cifar_resnet8"), IMAGES, targets)
    assert maps.targets.tolist() == [4, 4, 4]


def test_without_targets_the_most_likely_class_is_explained_in_eval_mode():
    net = lived_in(rx.build("cifar_resnet8")).train()
    maps = rx.class_activation_maps(net, IMAGES)
    assert net.training
    expected = net.eval()(IMAGES)
    torch.testing.assert_close(maps.logits, expected.detach())
    assert torch.equal(maps.targets, expected.argmax(1))
    assert not maps.logits.requires_grad
    assert not any(cam.requires_grad for cam in maps.values())


def test_maps_are_a_mapping_with_a_positive_form():
    maps = rx.class_activation_maps(rx.build("cifar_resnet8"), IMAGES, 1, method="hirescam")
    assert list(maps) == ["layer1.0", "layer2.0", "layer3.0"]
    assert len(maps) == 3
    assert "layer1.0" in maps
    assert maps["layer2.0"].shape == (3, 20, 36)
    positive = maps.positive()
    assert positive.method == "hirescam"
    assert torch.equal(positive["layer1.0"], maps["layer1.0"].relu())
    assert maps["layer1.0"].min() < 0
    with pytest.raises(rx.ExploreError, match="Unknown layer 'layer1': did you mean"):
        maps["layer1"]


def test_layers_by_pattern_come_in_the_order_of_execution():
    net = torchvision.models.resnet18(num_classes=10)
    maps = rx.class_activation_maps(net, IMAGES, 1, ["layer4.?", "layer1.0.relu", "maxpool"])
    assert list(maps) == ["maxpool", "layer1.0.relu:1", "layer1.0.relu:2", "layer4.0", "layer4.1"]


def vgg():
    features = torchvision.models.vgg.make_layers([8, "M", 16, 16, "M"])
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16 * 4, 10))


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (vgg, 3),
        (lambda: torchvision.models.DenseNet(4, (2, 2), 8, num_classes=10), 2),
        (lambda: torchvision.models.mobilenet_v3_small(num_classes=10), 11),
        (lambda: torchvision.models.squeezenet1_1(num_classes=10), 8),
        (lambda: torchvision.models.efficientnet_b0(num_classes=10), 16),
    ],
    ids=["vgg", "densenet", "mobilenet", "squeezenet", "efficientnet"],
)
def test_networks_of_others_give_their_blocks_or_else_every_convolution(make, count):
    net = make().eval()
    before = fingerprint(net)
    maps = rx.class_activation_maps(net, IMAGES, 1)
    chosen = choose_layers(net)
    assert tuple(maps) == chosen.names
    assert len(maps) == count
    assert f" {count} " in chosen.reason
    assert fingerprint(net) == before


def test_block_names_of_residual_networks():
    assert block_names(rx.build("cifar_plain8")) == ["layer1.0", "layer2.0", "layer3.0"]
    expected = [f"layer{s}.{i}" for s, n in enumerate((3, 4, 6, 3), start=1) for i in range(n)]
    for make in (torchvision.models.resnet50, torchvision.models.resnext50_32x4d):
        with torch.device("meta"):
            assert block_names(make()) == expected
    assert block_names(rx.build("resnet50")) == expected
    assert len(block_names(rx.build("cifar_resnet20"))) == 9
    assert len(block_names(torchvision.models.resnet18())) == 8
    with pytest.raises(rx.ExploreError, match="a Linear, has no 2-D convolution"):
        block_names(nn.Linear(2, 2))


# How the model is left ---------------------------------------------------------------------------------


def in_use():
    """A network in the middle of training: mixed modes, a frozen layer, gradients in waiting, hooks."""
    net = rx.build("cifar_resnet8").train()
    net(IMAGES).sum().backward()
    net.layer1.eval()
    net.conv1.weight.requires_grad_(False)
    net.fc.register_forward_hook(lambda *_: None)
    return net


def test_model_images_and_random_state_are_left_as_found():
    net, mine = in_use(), IMAGES.clone()
    before, state = fingerprint(net), torch.get_rng_state()
    rx.class_activation_maps(net, IMAGES)
    assert fingerprint(net) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(IMAGES, mine)
    assert not IMAGES.requires_grad


@pytest.mark.parametrize("when", ["before", "after", "backward"])
@pytest.mark.parametrize(
    "where", ["conv1", "layer1.0.relu1", "layer2.0", "layer3.0.bn2", "avgpool", "fc", ""]
)
def test_model_is_left_as_found_when_a_module_raises(where, when):
    def sabotage(*_):
        raise ArithmeticError

    def sabotage_backward(module, args, output):
        output.register_hook(sabotage)

    net = in_use()
    module = net.get_submodule(where)
    if when == "before":
        module.register_forward_pre_hook(sabotage)
    else:
        module.register_forward_hook(sabotage if when == "after" else sabotage_backward)
    before = fingerprint(net)
    if when == "backward" and where in ("conv1", "layer1.0.relu1"):
        rx.class_activation_maps(net, IMAGES)  # the backward pass doesn't go that far
    else:
        with pytest.raises(ArithmeticError):
            rx.class_activation_maps(net, IMAGES)
    assert fingerprint(net) == before


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_frozen_network_and_gradients_switched_off_make_no_difference(context):
    net = lived_in(rx.build("cifar_resnet8"))
    expected = rx.class_activation_maps(net, IMAGES)
    net.requires_grad_(False)
    with context():
        maps = rx.class_activation_maps(net, IMAGES + 0)  # an inference tensor where that is the context
    for layer, cam in expected.items():
        torch.testing.assert_close(maps[layer], cam)


def test_a_model_may_write_to_its_input():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = rx.build("cifar_resnet8")

        def forward(self, x):
            return self.net(x.mul_(2))

    model, mine = Scaled(), IMAGES.clone()
    maps = rx.class_activation_maps(model, mine)
    assert torch.equal(mine, IMAGES)
    expected = rx.class_activation_maps(model.net, IMAGES * 2)
    torch.testing.assert_close(maps["net.layer2.0"], expected["layer2.0"])


# Bad input ----------------------------------------------------------------------------------------------


class Odd(nn.Module):
    """A network with a layer that is not run, one that is cut off, and one whose output is no image."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.cut = nn.Conv2d(4, 4, 1)
        self.spare = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        x = self.conv1(x)
        return self.fc((x + self.cut(x).detach()).mean((2, 3)))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"method": "gradcam"}, "Unknown method 'gradcam': did you mean 'grad_cam'"),
        ({"layers": "conv2"}, "Unknown layer 'conv2': did you mean 'conv1'"),
        ({"targets": 10}, r"targets must lie in 0\.\.9.*got 10"),
        ({"targets": -1}, r"targets must lie in 0\.\.9.*got -1"),
        ({"targets": [1, 2, 30]}, "got 30"),
        ({"targets": [1, 2]}, r"targets must be 3 whole numbers, one per image, not int64 of shape \(2,\)"),
        ({"targets": torch.zeros(3)}, "targets must be 3 whole numbers.*not float32"),
        ({"targets": "cat"}, "targets must be 3 whole numbers"),
        ({"targets": [[1], [1, 2], 3]}, "targets must be 3 whole numbers"),
        ({"images": IMAGES[0]}, r"not \(3, 40, 72\); for a single image pass image\[None\]"),
        ({"images": IMAGES.int()}, "images must be a float tensor"),
        ({"images": IMAGES[:, :1]}, r"an Odd, can't take images of shape \(3, 1, 40, 72\): .* 3 channels"),
        ({"images": IMAGES[..., :2]}, r"can't take images of shape \(3, 3, 40, 2\): .*Kernel size"),
        ({"layers": ["conv1", "fc"]}, r"'fc' gives an output of shape \(3, 10\), but a map needs"),
        ({"layers": "spare"}, "The model did not run 'spare'"),
        ({"layers": "cut"}, "No gradient of the logits reaches 'cut'"),
        ({"layers": ["conv1", "cut"]}, "No gradient of the logits reaches 'cut'"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(arguments, sentence):
    net = Odd()
    before = fingerprint(net)
    with pytest.raises(rx.ExploreError, match=sentence) as caught:
        rx.class_activation_maps(net, **{"images": IMAGES, "layers": "conv1", **arguments})
    assert "\n" not in str(caught.value)
    assert fingerprint(net) == before


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, NotImplementedError, RecursionError, KeyError])
def test_what_has_nothing_to_do_with_the_images_goes_through(error):
    def fail(module, args):
        raise error("of another kind")

    net = rx.build("cifar_resnet8")
    net.layer2.register_forward_pre_hook(fail)
    for measure in (rx.class_activation_maps, rx.gradient_flow):
        with pytest.raises(error, match="of another kind"):
            measure(net, IMAGES, [1, 2, 3])


def test_models_that_give_no_logits():
    with pytest.raises(
        rx.ExploreError, match=r"must return logits of shape \(3, classes\), not shape \(3, 4, 38, 70\)"
    ):
        rx.class_activation_maps(nn.Conv2d(3, 4, 3), IMAGES)
