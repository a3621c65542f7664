import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.gradients.jacobian import JacobianSpectra

TINY = {"widths": (2, 3, 4), "in_channels": 1, "num_classes": 3}
BLOCKS = [f"layer{stage}.0" for stage in (1, 2, 3)]


def images(count=4, size=(6, 8)):
    return torch.randn(count, 1, *size, generator=torch.Generator().manual_seed(0))


def dense(model, batch, name, whole):
    """The Jacobian of one block at the first image, as a matrix, in train mode with constant statistics."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    model.train()(batch)
    count = dict.fromkeys(norms)

    def look(norm, args):
        count[norm] = args[0].numel() // args[0].shape[1]

    handles = [norm.register_forward_pre_hook(look) for norm in norms]
    model(batch)
    for norm, handle in zip(norms, handles, strict=True):
        handle.remove()
        norm.running_var *= (count[norm] - 1) / count[norm]  # batch norm divides by N, and stores by N - 1
    model.eval()
    with rx.Capture(model, None) as seen:
        model(batch[:1])
    block, before = (
        model.get_submodule(name),
        {"layer1.0": "relu", "layer2.0": "layer1.0", "layer3.0": "layer2.0"},
    )

    def function(x):
        if not whole:
            return block(x)
        out = []
        handle = block.register_forward_hook(lambda module, args, output: out.append(output))
        model(x)
        handle.remove()
        return out[0]

    x = batch[:1] if whole else seen.outputs[before[name]]
    jacobian = torch.autograd.functional.jacobian(function, x)
    return jacobian.reshape(-1, x.numel()).double().numpy()


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("kind", ["resnet", "plain"])
def test_singular_values_are_those_of_the_matrix(kind, whole):
    model, batch = rx.build(f"cifar_{kind}8", **TINY), images()
    found = rx.jacobian_spectra(model, batch, whole=whole, top=4, steps=60, probes=1)
    assert found.names == tuple(BLOCKS)
    assert (found.mode, found.whole) == ("train", whole)
    for i, name in enumerate(BLOCKS):
        values = np.linalg.svd(
            dense(rx.build(f"cifar_{kind}8", **TINY), batch, name, whole), compute_uv=False
        )
        np.testing.assert_allclose(found.top[i], values[:4], rtol=1e-3, err_msg=name)
        assert found.weights[i].sum() == pytest.approx(1)
        assert (found.weights[i] > -1e-9).all()
        assert found.nodes[i].max() == pytest.approx(values[0], rel=1e-3)


def test_the_distribution_has_the_moments_of_all_singular_values():
    model, batch = rx.build("cifar_resnet8", **TINY), images()
    matrix = dense(rx.build("cifar_resnet8", **TINY), batch, "layer1.0", False)
    values = np.linalg.svd(matrix, compute_uv=False)
    squares = np.concatenate([values**2, np.zeros(matrix.shape[1] - len(values))])
    found = rx.jacobian_spectra(model, batch, ["layer1.0"], steps=12, probes=20)
    # Twenty random vectors of 96 numbers give a mean of squares to some sqrt(2 / (20 * 96)) = 3 %.
    assert found.rms[0] ** 2 == pytest.approx(squares.mean(), rel=0.1)
    fourth = (found.weights * found.nodes**4).sum()
    assert fourth == pytest.approx((squares**2).mean(), rel=0.15)
    for q in (0.1, 0.5, 0.9):
        assert found.quantile(q)[0] == pytest.approx(np.sqrt(np.quantile(squares, q)), abs=0.15)


def test_few_steps_are_exact_for_the_low_moments_of_their_start():
    """Lanczos quadrature with m steps from v integrates polynomials below degree 2m exactly: v'(J'J)^p v."""
    matrix = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    layer = nn.Linear(7, 5, bias=False).double()
    layer.weight.data = matrix
    net = nn.Sequential(nn.Flatten(), layer)
    found = rx.jacobian_spectra(net, torch.zeros(1, 7, 1, 1).double(), ["1"], mode="eval", steps=2, probes=1)
    start = torch.randn(7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    start = start / start.norm()
    for p in (1, 2, 3):
        power = torch.linalg.matrix_power(matrix.T @ matrix, p)
        assert (found.weights * found.nodes ** (2 * p)).sum() == pytest.approx(float(start @ power @ start))
    np.testing.assert_allclose(found.top[0], np.linalg.svd(matrix, compute_uv=False)[:3], rtol=1e-9)


def test_a_block_that_is_closer_to_the_identity_has_a_narrower_spectrum():
    twins, batch = rx.twins("cifar_resnet20", in_channels=1, widths=(4, 4, 4)), images(8)
    spread = {}
    for kind, model in zip(("plain", "residual"), twins, strict=True):
        found = rx.jacobian_spectra(model, batch, ["layer1.1", "layer1.2"], steps=16)
        spread[kind] = found.quantile(0.9) / found.quantile(0.5)
    assert (spread["plain"] > spread["residual"]).all()


def test_an_inplace_relu_and_a_foreign_network():
    model = torchvision.models.resnet18(num_classes=5).eval()
    found = rx.jacobian_spectra(
        model, torch.randn(2, 3, 32, 40), ["layer4.1", "fc"], steps=3, probes=1, top=2
    )
    assert found.top.shape == (2, 2)
    np.testing.assert_allclose(
        found.top[1], torch.linalg.svdvals(model.fc.weight.detach())[:2].numpy(), rtol=1e-4
    )


def test_a_dead_block_has_no_singular_values():
    model = rx.build("cifar_plain8", **TINY)
    with torch.no_grad():
        model.layer2[0].bn2.weight.zero_()
        model.layer2[0].bn2.bias.fill_(-1)
    found = rx.jacobian_spectra(model, images(), ["layer2.0"])
    assert found.top.max() == found.nodes.max() == 0
    assert found.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"blocks": ["layer9"]}, "Unknown layer 'layer9'"),
        ({"top": 0}, "top must be a whole number of at least 1, not 0"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"mode": "evil"}, "did you mean 'eval'"),
        ({"images": images()[:1]}, "two or more in train mode"),
        ({"blocks": ["layer1.0.add"]}, r"layer1\.0\.add must take and return one tensor"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(arguments, sentence):
    model = rx.build("cifar_resnet8", **TINY).train()
    before = fingerprint(model)
    with pytest.raises(rx.ExploreError, match=sentence) as caught:
        rx.jacobian_spectra(model, **{"images": images(), **arguments})
    assert "\n" not in str(caught.value)
    assert fingerprint(model) == before


def test_the_model_is_left_as_found():
    model = rx.build("cifar_resnet8", **TINY).train()
    before = fingerprint(model)
    found = rx.jacobian_spectra(model, images(), whole=True, steps=4)
    assert isinstance(found, JacobianSpectra)
    assert fingerprint(model) == before
