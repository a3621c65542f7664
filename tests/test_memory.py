"""What is measured is let go: nothing that looks at a network keeps it, its graph or its results alive."""

import ctypes
import gc
import inspect
import threading
import weakref

import psutil
import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.resnet import BasicBlock
from torchvision.models.segmentation.fcn import FCN, FCNHead
from torchvision.models.video.resnet import BasicBlock as VideoBlock, BasicStem, Conv3DSimple
from torchvision.ops import MultiScaleRoIAlign

import resnet_explore as rx
from resnet_explore.analysis.activations.feature_maps import whole_map
from resnet_explore.analysis.activations.memory import footprint, foretold
from resnet_explore.analysis.explain.split import split_maps
from resnet_explore.analysis.explain.targets import Box, Region
from resnet_explore.analysis.skips.without_each import without_each
from resnet_explore.analysis.topology.cam_layers import block_names
from resnet_explore.analysis.topology.map_layers import map_names
from resnet_explore.models.summary import receptive_fields
from resnet_explore.widgets.core.heap import give_back
from resnet_explore.widgets.core.runner import THREADS

CALLS = 3

# Networks as torchvision and we build them, with few channels ----------------------------------------------


def trunk():
    widen = nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16))
    trunk = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), BasicBlock(8, 8), BasicBlock(8, 16, 2, widen))
    trunk.out_channels = 16
    return trunk


def detector():
    return FasterRCNN(
        trunk(),
        min_size=32,
        max_size=64,
        rpn_anchor_generator=AnchorGenerator(((8, 16),), ((0.5, 1.0),)),
        rpn_post_nms_top_n_test=10,
        box_roi_pool=MultiScaleRoIAlign(["0"], output_size=3, sampling_ratio=1),
        box_head=TwoMLPHead(16 * 3 * 3, 32),
        box_predictor=FastRCNNPredictor(32, 3),
        box_score_thresh=0.0,
    ).eval()


def segmentation():
    return FCN(IntermediateLayerGetter(trunk(), {"2": "out"}), FCNHead(16, 5)).eval()


def video():
    widen = nn.Sequential(nn.Conv3d(64, 8, 1, bias=False), nn.BatchNorm3d(8))
    block = VideoBlock(64, 8, Conv3DSimple, downsample=widen)
    return nn.Sequential(BasicStem(), block, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, 5)).eval()


def noise(*size):
    return torch.rand(size, generator=torch.Generator().manual_seed(0))


NETWORKS = {  # with what they take and what they can be asked about
    "classifier": (lambda: rx.build("cifar_resnet8", num_classes=5), noise(2, 3, 32, 40), None),
    "detector": (detector, noise(2, 3, 32, 40), Box((4.0, 4.0, 30.0, 28.0))),
    "segmentation": (segmentation, noise(2, 3, 32, 40), Region(1, (16, 20))),
    "video": (video, noise(2, 3, 4, 16, 20), None),
    "numbers": (lambda: rx.MLP(rx.MLPConfig(depth=3, width=16, inputs=1)), noise(2, 1, 1, 1), None),
}

# Everything that is given a network, by its public name ----------------------------------------------------


def total(output, _labels=None):
    """Add up all that a network returns."""
    return sum(leaf.sum() for leaf in tree_leaves(output) if getattr(leaf, "requires_grad", False))


def capture(model, x, asked):
    with rx.Capture(model, gradients=True) as seen:
        total(model(x)).backward()
    return dict(seen.outputs), dict(seen.gradients)


def differentiate(model, x, asked):
    with rx.Capture(model, keep="half") as seen:
        return seen.differentiate(total(model(x)))


def record(model, x, asked):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    recorder = rx.GradientRecorder(model, optimizer)
    total(model(x)).backward()
    optimizer.step()
    optimizer.zero_grad()
    recorder.close()
    return recorder.table()


def jacobian(model, x, asked):
    return rx.jacobian_spectra(model, x[:1], block_names(model)[-1:], "eval", top=1, steps=2, probes=1)


def edit(model, x, asked):
    with rx.edited(model, branch={"*": 0.5}, input_size=tuple(x.shape[1:])):
        return model(x)


def evaluate(model, x, asked):
    pixels, labels = (255 * x).byte(), torch.arange(len(x))
    data = rx.ImageSet("noise", "test", pixels, labels, tuple("abcde"), (0.0,) * 3, (1.0,) * 3)
    return rx.evaluate({"mine": model}, data, "grad_cam", "stability", draws=1)


LOOKS = {
    "Capture": capture,
    "Capture.check": lambda model, x, asked: rx.Capture.check(model, x),
    "Capture.differentiate": differentiate,
    "GradientRecorder": record,
    "attribute": lambda model, x, asked: rx.attribute(model, x, asked, steps=2),
    "attribute deep_lift": lambda model, x, asked: rx.attribute(model, x, asked, "deep_lift"),
    "class_activation_maps": lambda model, x, asked: rx.class_activation_maps(model, x, asked),
    "describe": lambda model, x, asked: rx.describe(model, x.shape[1:]),
    "edited": edit,
    "evaluate": evaluate,
    "feature_maps": lambda model, x, asked: rx.feature_maps(model, x),
    "footprint": lambda model, x, asked: footprint(model, x),
    "foretold": lambda model, x, asked: foretold(model, x),
    "gradient_autocorrelation": lambda model, x, asked: rx.gradient_autocorrelation(model, 4, points=8),
    "gradient_flow": lambda model, x, asked: rx.gradient_flow(model, x, mode="eval", loss=total),
    "input_gradients": lambda model, x, asked: rx.input_gradients(model, x, "eval"),
    "jacobian_spectra": jacobian,
    "judge": lambda model, x, asked: rx.judge(model, x, "grad_cam", asked, "stability", draws=1),
    "layer_statistics": lambda model, x, asked: rx.layer_statistics(model, x),
    "lesion_study": lambda model, x, asked: rx.lesion_study(model, x, [0, 1], counts=(1, 2), seeds=(0,)),
    "linear_probes": lambda model, x, asked: rx.linear_probes(model, x, [0, 1]),
    "logit_contributions": lambda model, x, asked: rx.logit_contributions(model, x),
    "loss_landscape": lambda model, x, asked: rx.loss_landscape(model, x, [0, 1], 3),
    "path_lengths": lambda model, x, asked: rx.path_lengths(model, x, [0, 1], samples=1),
    "receptive_fields": lambda model, x, asked: receptive_fields(model, x.shape[1:]),
    "residual_stream": lambda model, x, asked: rx.residual_stream(model, x),
    "sample_gradients": lambda model, x, asked: rx.sample_gradients(model, x, [0, 1], "eval"),
    # Of four images, with which a kernel can be made.
    "similarity": lambda model, x, asked: rx.similarity(model, model, x.repeat(2, *[1] * (x.ndim - 1))),
    "skip_ratios": lambda model, x, asked: rx.skip_ratios(model, x, "eval"),
    "split_maps": lambda model, x, asked: split_maps(model, x, asked),
    "structure": lambda model, x, asked: rx.structure(model, x.shape[1:]),
    "top_hessian_eigenvalue": lambda model, x, asked: rx.top_hessian_eigenvalue(model, x, [0, 1], steps=2),
    "whole_map": lambda model, x, asked: whole_map(model, x[:1], map_names(model)[0]),
    "without_each": lambda model, x, asked: without_each(model, x),
}

REFUSED = {  # with a sentence, and that must hold nothing either
    "classifier": {"gradient_autocorrelation"},
    "detector": {
        *("attribute deep_lift", "evaluate", "footprint", "gradient_autocorrelation", "input_gradients"),
        *("lesion_study", "linear_probes", "logit_contributions", "path_lengths", "sample_gradients"),
        "without_each",
        *("loss_landscape", "top_hessian_eigenvalue"),
        "edited",  # heads give several tensors, which can't be scaled as one
    },
    "segmentation": {
        *("evaluate", "gradient_autocorrelation", "input_gradients", "lesion_study", "path_lengths"),
        *("logit_contributions", "loss_landscape", "sample_gradients", "top_hessian_eigenvalue"),
        "without_each",
    },
    "video": {*LOOKS}
    - {
        *("Capture", "Capture.differentiate", "GradientRecorder", "describe", "foretold", "receptive_fields"),
        *("edited", "structure"),
    },
    "numbers": {
        *("class_activation_maps", "edited", "evaluate", "feature_maps", "footprint", "jacobian_spectra"),
        *("judge", "lesion_study", "logit_contributions", "path_lengths", "skip_ratios", "split_maps"),
        *("linear_probes", "whole_map", "without_each"),
    },
}


def test_these_are_all():
    for name in rx.__all__:
        if not name.endswith(("Explorer", "Error")):
            first = next(iter(inspect.signature(getattr(rx, name)).parameters.values()), None)
            if first is not None and first.name in ("model", "models") and "Module" in str(first.annotation):
                assert name in LOOKS


# What is alive ---------------------------------------------------------------------------------------------


class _Mallinfo2(ctypes.Structure):
    """glibc's account of its heap; `uordblks` and `hblkhd` are the bytes that are in use."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks"),
            "keepcost",
        )
    ]


try:
    _mallinfo2 = ctypes.CDLL(None).mallinfo2
    _mallinfo2.restype = _Mallinfo2
    NOISE = 38_000  # bytes; the most that was seen is 12,000
except (AttributeError, OSError, TypeError):  # not glibc, or an old one
    _mallinfo2, NOISE = None, 8_000_000


def alive() -> tuple[int, int]:
    """Return how many new tensors Python knows, and all bytes in use: what only C++ holds, it can't see."""
    gc.collect()
    tensors = sum(issubclass(type(known), torch.Tensor) for known in gc.get_objects())
    if _mallinfo2 is None:
        return tensors, psutil.Process().memory_info().rss
    account = _mallinfo2()
    return tensors, account.uordblks + account.hblkhd


@pytest.fixture(scope="module", autouse=True)
def alone():
    """What explorers of other tests still do beside them would be counted here."""
    for thread in threading.enumerate():
        if thread.name == THREADS:
            thread.join(120)
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def only_what_is_new_is_looked_through(alone):
    """All that is there before a test, also modules that the last one imported, would take seconds."""
    gc.freeze()


def looked(look, model, images, asked):
    """Look once and throw away what is found; False if the model was refused."""
    try:
        LOOKS[look](model, images, asked)
    except rx.ExploreError:
        return False
    return True


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("network", NETWORKS)
def test_looks_leave_nothing(network, look):
    make, images, asked = NETWORKS[network]
    model = make()
    for _ in range(2):  # the first calls fill the caches of torch
        assert looked(look, model, images, asked) == (look not in REFUSED[network])
    tensors, used = alive()
    for _ in range(CALLS):
        looked(look, model, images, asked)
    tensors_after, used_after = alive()
    assert tensors_after <= tensors
    assert used_after - used < NOISE
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_what_only_the_graph_holds_is_noticed():
    """The measurement itself: a tensor that its own graph holds is seen."""
    made = []

    def ring():
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor):
            made.append(torch.ones(50_000, requires_grad=True).exp())

    tensors, used = alive()
    ring()
    made.clear()
    tensors_after, used_after = alive()
    assert tensors_after > tensors
    if _mallinfo2 is not None:
        assert used_after - used > 190_000


@pytest.mark.skipif(_mallinfo2 is None, reason="only glibc keeps freed memory, and can be asked for it")
def test_freed_memory_goes_back_to_the_system():
    kept = [torch.ones(15_000) for _ in range(2_000)]  # 60 kB each, too small to be mapped one by one
    del kept[::2], kept[1::3]
    before = psutil.Process().memory_info().rss
    give_back()
    assert before - psutil.Process().memory_info().rss > 40_000_000
