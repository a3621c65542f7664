"""The hook doctor's word is held against what hooks that don't copy really see."""

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock
from witnesses import fingerprint, thin_resnet

import resnet_explore as rx


def densenet():
    return torchvision.models.DenseNet(growth_rate=4, block_config=(2, 2), num_init_features=8, num_classes=3)


def resnet18():
    return thin_resnet(BasicBlock, [2, 2, 2, 2], 3)


NETS = {
    "resnet18": resnet18,
    "mobilenet_v3_small": lambda: torchvision.models.mobilenet_v3_small(num_classes=3),
    "densenet": densenet,
    "googlenet": lambda: torchvision.models.googlenet(
        num_classes=3, aux_logits=False, init_weights=False, dropout=0.0
    ),
    "res2net": lambda: timm.create_model("res2net50_26w_4s", layers=[1, 1, 1, 1], num_classes=3),
    "cifar_resnet8": lambda: rx.build("cifar_resnet8"),
}


def check(*arguments):
    return rx.Capture.check(*arguments)


def words(checkup):
    return {finding.name: finding.why for finding in checkup.of("not reachable")}


@pytest.mark.parametrize("name", NETS)
def test_safe_and_cloned_are_what_references_show(name):
    torch.manual_seed(0)
    net = NETS[name]().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias)  # else some in-place ReLUs meet nothing negative
    images = torch.randn(1, 3, 40, 56)
    references = {}

    def refer(path):
        def hook(module, args, output):
            references.setdefault(path, []).append(output)

        return hook

    handles = [m.register_forward_hook(refer(path)) for path, m in net.named_modules() if path]
    with torch.no_grad(), rx.Capture(net) as seen:
        net(images)
    for handle in handles:
        handle.remove()
    found = check(net, images)
    status = {f.name: f.status for f in found.findings if f.status != "not reachable"}
    assert set(status) == set(seen.outputs)
    for path, outputs in references.items():
        for i, reference in enumerate(outputs, start=1):
            call = path if len(outputs) == 1 else f"{path}:{i}"
            intact = torch.equal(reference, seen.outputs[call])
            assert status[call] == ("safe" if intact else "cloned"), call
    assert found.nbytes == seen.nbytes
    assert set(seen.idle) <= set(words(found))


def test_a_pass_without_values_finds_the_same_as_one_with():
    net = resnet18()
    real, meta = check(net, torch.zeros(2, 3, 224, 224)), check(net)
    assert real.findings == meta.findings
    assert "2×3×224×224 images without values, train mode" in str(meta)
    assert "2×3×224×224 images on cpu, train mode" in str(real)


def test_who_writes_over_what_is_said():
    found = {f.name: f.why for f in check(resnet18()).of("cloned")}
    assert found["bn1"] == "later overwritten by relu (ReLU, in-place)"
    assert found["layer1.0.bn2"] == "later overwritten by add_ in layer1.0"
    assert "layer1.0.relu:2" not in found


def test_functional_calls_are_reported_with_the_module_that_makes_them():
    missed = words(check(resnet18()))
    assert "layer1.0: add" in missed
    assert "flatten" in missed
    assert len(missed) == 9  # eight sums

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = Body()

        def forward(self, x):
            return torch.sigmoid(self.body(F.avg_pool2d(x, 2)))

    class Body(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            y = F.relu(self.conv(x) * 2 + 1)
            y += x  # what the module returns: seen as its output
            return y

    net = Net()
    found = check(net)
    assert words(found) == {
        "body: mul, add, relu": "functional: body calls it, and no module returns the result",
        "avg_pool2d": "functional: the network itself calls it, and no module returns the result",
    }
    assert [f.name for f in found.of("safe")] == ["body.conv", "body"]


def test_what_never_ran_is_reported_with_its_reason():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.shape = Shape()
            self.held = nn.ModuleList([nn.Conv2d(5, 2, 1)])
            self.tied = nn.Linear(2, 2)
            self.spare = nn.Linear(2, 2)

        def forward(self, x):
            self.shape(x)
            return F.linear(self.held[0](x).mean((2, 3)), self.tied.weight)

    class Shape(nn.Module):
        def forward(self, x):
            return x.shape

    missed = words(check(Net()))
    assert missed["shape"] == "it returns a Size without tensors in tuples, lists or dicts"
    assert missed["held"] == "a container, it only holds others"
    assert missed["tied"] == "never called: the network itself uses its parameters directly"
    assert missed["spare"] == "never called in this pass"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_torchscript_is_reported_and_refused():
    inside = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU())
    images = torch.zeros(1, 3, 4, 5)
    net = nn.Sequential(torch.jit.script(inside), nn.ReLU())
    assert words(check(net, images))["0"] == "TorchScript runs it, which passes over hooks"
    before = fingerprint(net[1])
    with pytest.raises(rx.ExploreError, match="0 is TorchScript"), rx.Capture(net):
        pass
    assert fingerprint(net[1]) == before
    with rx.Capture(net, "1") as seen:
        net(images)
    assert list(seen.outputs) == ["1"]


@pytest.mark.parametrize("train", [True, False])
def test_the_model_is_left_as_found(train):
    net = densenet().train(train)
    images = torch.randn(2, 3, 40, 56)
    net(images).sum().backward()
    random = torch.get_rng_state()
    before = fingerprint(net)
    check(net)
    check(net, images)
    assert fingerprint(net) == before
    assert torch.equal(torch.get_rng_state(), random)


class Fails(nn.Module):
    def forward(self, x):
        raise KeyError("boo")


@pytest.mark.parametrize(
    ("net", "images", "sentence"),
    [
        (nn.Sequential(nn.ReLU(), nn.Sequential(Fails())), None, r"KeyError in 1\.0, 'boo'; pass images"),
        (Fails(), torch.zeros(1, 3, 4, 5), r"1×3×4×5 images on cpu: KeyError in its forward, 'boo'\.$"),
        (nn.Sequential(nn.Conv2d(5, 2, 1)), torch.zeros(1, 3, 4, 5), "RuntimeError in 0, .*5 channels"),
        (nn.ReLU(), "cat.jpg", "images must be a float tensor"),
        (
            "resnet18",
            None,
            r"model must be a torch\.nn\.Module, not str: resnet_explore\.build\('resnet18'\)",
        ),
    ],
)
def test_what_can_not_be_run_is_said_in_a_sentence(net, images, sentence):
    before = fingerprint(net) if isinstance(net, nn.Module) else net
    with pytest.raises(rx.ExploreError, match=sentence):
        check(net, images)
    assert (fingerprint(net) if isinstance(net, nn.Module) else net) == before


def test_a_failure_that_the_model_recovers_from_is_none():
    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.risky, self.sure = Fails(), nn.ReLU()

        def forward(self, x):
            try:
                return self.risky(x)
            except KeyError:
                return self.sure(x)

    try:
        raise ValueError("on its way while we check")
    except ValueError:
        found = check(Careful())
    assert [f.name for f in found.of("safe")] == ["sure"]


def test_detection_segmentation_dicts_and_lists():
    torch.manual_seed(0)
    detector = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=3, min_size=64, max_size=96
    ).eval()
    with pytest.raises(rx.ExploreError, match=r"rpn decides by values.*; pass images that it can take\.$"):
        check(detector)
    detector.train()
    with pytest.raises(
        rx.ExploreError, match=r"training mode; call \.eval\(\) first and pass images that it"
    ):
        check(detector)
    with pytest.raises(
        rx.ExploreError, match=r"training mode; in eval mode it can: call \.eval\(\) first\.$"
    ):
        check(detector, torch.rand(1, 3, 64, 80))
    assert detector.training
    assert detector.backbone.training
    detector.eval()
    found = check(detector, torch.rand(1, 3, 64, 80))
    assert "backbone.fpn[0]" in {f.name for f in found.of("safe")}
    assert any(f.name.startswith("roi_heads: ") for f in found.of("not reachable"))

    class Lists(nn.Module):
        def forward(self, x):
            return {"twice": [x * 2, 3], "none": None}

    assert [f.name for f in check(nn.Sequential(Lists())).of("safe")] == ["0[twice][0]"]


def test_a_table_in_text_and_in_html():
    found = check(resnet18())
    text, page = str(found), found._repr_html_()
    assert text.index("not reachable (9)") < text.index("cloned (17)") < text.index("safe (58)")
    assert page.count("<tr>") == 9 + 17 + 58 + 3
    assert page.count("<details open>") == 2
    assert "<b>" not in check(nn.Sequential(type("<b>", (nn.ReLU,), {})()))._repr_html_()


def test_one_is_not_said_as_many():
    class Shifts(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.idle = nn.BatchNorm2d(3), nn.ReLU()

        def forward(self, x):
            return nn.functional.relu_(self.norm(x))

    net = Shifts()
    said = check(net).summary
    assert "1 output can be captured" in said
    assert "1 of them is right only as a copy made in time, since something writes over it" in said
    assert "1 module or call can't be reached" in said
    del net.idle
    assert "0 modules or calls can't be reached" in check(net).summary


def test_weights_are_not_copied_to_look_without_values():
    net = nn.Sequential(nn.Linear(224, 10))
    net[0].weight.__deepcopy__ = None  # would be called, and fail
    assert [f.name for f in check(net).of("safe")] == ["0"]


def test_what_a_model_says_itself_is_kept_where_there_are_values():
    class Strict(nn.Module):
        def forward(self, x):
            raise RuntimeError("metadata of the camera is missing")

    with pytest.raises(rx.ExploreError, match="in its forward, metadata of the camera is missing"):
        rx.Capture.check(Strict(), torch.rand(2, 3, 8, 9))
