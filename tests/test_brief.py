import numpy as np
import torch

import resnet_explore as rx
from resnet_explore.analysis._brief import brief
from resnet_explore.analysis.gradients.skip_ratios import skip_ratios

IMAGES = torch.randn(4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3])


def network(**changes):
    return rx.build("cifar_resnet20", widths=(2, 4, 6), seed=0, **changes)


def test_results_print_on_a_line_whatever_they_hold():
    model = network()
    results = [
        rx.gradient_flow(model, IMAGES, LABELS),
        rx.sample_gradients(model, IMAGES, LABELS),
        rx.jacobian_spectra(model, IMAGES, blocks=["layer1.0", "layer2.0"], steps=3, probes=1),
        skip_ratios(model, IMAGES),
        rx.layer_statistics(model, IMAGES),
        rx.class_activation_maps(model, IMAGES),
    ]
    for result in results:
        for text in (repr(result), str(result)):
            assert "\n" not in text
            assert len(text) < 700, text
        assert type(result).__name__ in repr(result)


def test_a_flow_says_what_its_ratio_compares():
    flow = rx.gradient_flow(network(), IMAGES, LABELS, mode="eval")
    norms = dict(zip(flow.names, flow.weight_gradient_norms, strict=True))
    first, last = (
        np.hypot(norms[f"{block}.conv1"], norms[f"{block}.conv2"]) for block in ("layer1.0", "layer3.2")
    )
    assert str(flow).startswith(f"20 layers, eval mode, batch of 4, loss {flow.loss:.3g}: ")
    assert f"{first:.2g} at layer1.0, {last:.2g} at layer3.2, ratio {first / last:,.2g}." in str(flow)
    np.testing.assert_array_equal(flow.table["weight_gradient"], flow.weight_gradient_norms)
    shown = flow._repr_html_()
    assert "<td>layer3.2.conv2</td>" in shown
    assert f"<td>{norms['layer3.2.conv2']:.3g}</td>" in shown


def test_a_flow_that_blew_up_says_so():
    broken = network()
    with torch.no_grad():
        broken.layer2[0].conv1.weight[0] = torch.inf
    assert "The weight of layer2.0.conv1 is infinite" in str(rx.gradient_flow(broken, IMAGES, LABELS))


def test_long_lists_are_said_by_their_ends():
    assert brief(tuple("abcdef")) == "('a', 'b', ..., 'f') [6]"
    assert brief({"a": torch.zeros(2, 3), "b": np.zeros(4)}) == "{'a': float32 (2, 3), 'b': float64 (4,)}"
    assert brief(("x",)) == "('x')"
