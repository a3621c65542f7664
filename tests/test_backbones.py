"""Networks that use a ResNet as their backbone, by the same calls as any: described, captured and drawn."""

import pytest
import torch
from torchvision.models import detection, segmentation, video

import resnet_explore as rx
from resnet_explore.models.peers import open_network
from resnet_explore.widgets.architecture.drawing import drawn as drawing

BARE = {"weights": None, "weights_backbone": None}
SMALL = {"min_size": 64, "max_size": 96, "rpn_post_nms_top_n_test": 20, "box_detections_per_img": 3}
# How it is made, its input, how many blocks have a skip, where the last ones are, and the weighted layers on
# the longest way, counted by hand. ResNet-50 has 49 before its classifier.
CASES = {
    # 2 of the pyramid, 2 of the region proposals, 3 of the boxes
    "fasterrcnn_resnet50_fpn": (
        lambda: detection.fasterrcnn_resnet50_fpn(**BARE, **SMALL),
        (3, 64, 96),
        (16, "backbone.body.layer4", 49 + 2 + 2 + 3),
    ),
    # and 4 + 1 + 1 of the masks, which are cut out where the boxes are
    "maskrcnn_resnet50_fpn": (
        lambda: detection.maskrcnn_resnet50_fpn(**BARE, **SMALL),
        (3, 64, 96),
        (16, "backbone.body.layer4", 49 + 2 + 2 + 3 + 6),
    ),
    "fcn_resnet50": (
        lambda: segmentation.fcn_resnet50(**BARE),
        (3, 64, 96),
        (16, "backbone.layer4", 49 + 2),
    ),
    # the branches side by side, what joins them, and two more
    "deeplabv3_resnet50": (
        lambda: segmentation.deeplabv3_resnet50(**BARE),
        (3, 64, 96),
        (16, "backbone.layer4", 49 + 1 + 1 + 2),
    ),
    "r3d_18": (lambda: video.r3d_18(weights=None), (3, 4, 32, 48), (8, "layer4", 18)),
    # each convolution is one in space and one in time, the stem too
    "r2plus1d_18": (lambda: video.r2plus1d_18(weights=None), (3, 4, 32, 48), (8, "layer4", 1 + 2 * 17)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_backbone_in_use_is_described_captured_and_drawn(name):
    make, size, (skips, last, depth) = CASES[name]
    torch.manual_seed(0)
    model = make().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}

    summary, found = rx.describe(model, size), rx.structure(model, size)
    assert summary.parameters == sum(p.numel() for p in model.parameters())
    assert (summary.depth, summary.macs) == (found.depth, found.macs)
    assert summary.depth == depth
    assert sum(part.macs for part in summary.parts) == summary.macs > 0
    assert summary.activation_bytes > 0

    boxes = drawing(found, name, "", "residual").boxes
    drawn = [box for box in boxes if box["skip"] in ("identity", "projection")]
    assert len(drawn) == skips
    assert [box["name"] for box in drawn if box["name"].startswith(last)] == [
        f"{last}.{k}" for k in range(2 if skips == 8 else 3)
    ]
    assert sum(box["macs"] for box in boxes) == summary.macs
    assert len(boxes) < 40

    assert all(module.training for module in model.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())

    model.eval()
    with torch.no_grad(), rx.Capture(model, layers=[f"{last}.*"]) as seen:
        model(torch.rand(1, *size))
    block = next(unit for unit in found.units if unit.name == f"{last}.1")
    assert seen.outputs[f"{last}.1"].shape[1:] == block.shape


def test_torchvisions_networks_open_by_name_and_alike_each_time():
    before = torch.random.get_rng_state()
    (first, size), (again, _) = (open_network("fasterrcnn_resnet50_fpn") for _ in range(2))
    assert size == (3, 224, 224)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first.rpn.head.cls_logits.weight, again.rpn.head.cls_logits.weight)
    for name, layers in (("vgg16", 16), ("googlenet", 22), ("deeplabv3_resnet50", 53), ("r3d_18", 18)):
        assert rx.describe(*open_network(name)).depth == layers
    with pytest.raises(rx.ExploreError, match="Unknown model 'fcn_resnet5': did you mean 'fcn_resnet50'"):
        open_network("fcn_resnet5")
