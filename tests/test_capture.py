import gc
import weakref

import pytest
import torch
import torchvision
from hypothesis import assume, given, settings, strategies as st
from torch import nn
from torchvision.models.resnet import BasicBlock
from witnesses import derivatives, fingerprint, thin_resnet

import resnet_explore as rx
from resnet_explore.analysis.capture.layers import select_layers


def vgg():
    features = torchvision.models.vgg.make_layers([16, "M", 32, "M", 48, 48, "M"], batch_norm=True)
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48 * 4, 10))


NETS = {
    "torchvision resnet18": lambda: thin_resnet(BasicBlock, [2, 2, 2, 2], 10),
    "vgg, in-place ReLU": vgg,
    "mobilenet": lambda: torchvision.models.mobilenet_v3_small(num_classes=10, dropout=0.0),
    "cifar_resnet8": lambda: rx.build("cifar_resnet8"),
    "cifar_plain8": lambda: rx.build("cifar_plain8"),
}


@pytest.fixture(params=NETS)
def net(request):
    torch.manual_seed(0)
    return NETS[request.param]().double()


@pytest.fixture
def images():
    return torch.randn(3, 3, 40, 56, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def small():
    """Batch norm whose output the next module overwrites, one ReLU used twice, dropout."""
    torch.manual_seed(0)
    relu = nn.ReLU(inplace=True)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), relu, nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), relu,
        nn.Dropout(0.5), nn.Flatten(), nn.LazyLinear(2),
    )  # fmt: skip


@pytest.fixture
def tiny():
    net = small()
    net(torch.zeros(1, 3, 8, 9))  # gives the lazy layer its shape
    return net


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_outputs_and_gradients_are_those_of_an_out_of_place_copy(net, images, mode):
    net.train(mode)

    def loss(model):
        return model(images).square().sum()

    outputs, gradients, _ = derivatives(net, loss)
    with rx.Capture(net, gradients=True) as seen:
        loss(net).backward()
    assert set(seen.outputs) == set(outputs)
    assert set(seen.gradients) == set(gradients)
    for name in outputs:
        torch.testing.assert_close(seen.outputs[name], outputs[name], msg=lambda m, n=name: f"{n}: {m}")
    for name in gradients:
        torch.testing.assert_close(seen.gradients[name], gradients[name], msg=lambda m, n=name: f"{n}: {m}")


OPERATIONS = {
    "conv": lambda: nn.Conv2d(2, 2, 3, padding=1),
    "norm": lambda: nn.BatchNorm2d(2),
    "relu": lambda: nn.ReLU(inplace=True),
    "drop": lambda: nn.Dropout(0.0, inplace=True),
    "clip": lambda: nn.Hardtanh(-0.5, 0.5, inplace=True),
    "same": nn.Identity,
    "view": lambda: nn.Unflatten(1, (2,)),
}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(sorted(OPERATIONS)), min_size=1, max_size=9), st.booleans(), st.randoms())
def test_any_chain_of_reused_and_in_place_modules(chain, train, random):
    class Chain(nn.Module):
        def __init__(self):
            super().__init__()
            self.operations = nn.ModuleDict({name: make() for name, make in OPERATIONS.items()})

        def forward(self, x):
            x = x * 1.0
            for name in chain:
                x = self.operations[name](x)
            return x

    torch.manual_seed(random.randrange(1000))
    net = Chain().double().train(train)
    images = torch.randn(2, 2, 3, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 2, 3, 5, dtype=torch.float64)
    try:
        torch.autograd.grad((net(images) * weight).sum(), images)
    except RuntimeError:  # some chains overwrite what autograd needs, in any hands
        assume(False)
    _, gradients, _ = derivatives(net, lambda model: (model(images) * weight).sum())
    with rx.Capture(net, "operations.*", gradients=True) as seen:
        score = (net(images) * weight).sum()
        asked = seen.differentiate(score)
    assert list(seen.gradients) == list(seen.outputs)
    assert set(gradients) == set(asked)
    for name, gradient in gradients.items():
        torch.testing.assert_close(asked[name], gradient)
        torch.testing.assert_close(seen.gradients[name], gradient)


def test_a_later_in_place_operation_does_not_reach_what_was_captured(tiny):
    with rx.Capture(tiny, ["1", "2"]) as seen:
        tiny(torch.randn(2, 3, 8, 9))
    assert seen.outputs["1"].min() < 0
    assert torch.equal(seen.outputs["2:1"], seen.outputs["1"].clamp(min=0))


def test_each_call_of_a_reused_module_is_kept_apart():
    net = thin_resnet(BasicBlock, [1, 1, 1, 1], 2).eval()
    with rx.Capture(net, ["layer1.0.relu", "layer1.0.bn1", "layer1.0"]) as seen:
        net(torch.randn(1, 3, 32, 48))
    assert list(seen.outputs) == ["layer1.0.bn1", "layer1.0.relu:1", "layer1.0.relu:2", "layer1.0"]
    assert torch.equal(seen.outputs["layer1.0.relu:1"], seen.outputs["layer1.0.bn1"].relu())
    assert torch.equal(seen.outputs["layer1.0.relu:2"], seen.outputs["layer1.0"])
    assert seen.modules["layer1.0.relu:2"] is net.layer1[0].relu


def test_a_second_run_of_the_model_is_kept_apart_until_cleared():
    net = nn.Sequential(nn.Linear(2, 2))
    with rx.Capture(net) as seen:
        net(torch.zeros(1, 2))
        net(torch.ones(1, 2))
        assert list(seen.outputs) == ["0:1", "0:2"]
        seen.clear()
        net(torch.ones(1, 2))
        assert list(seen.outputs) == ["0"]


# How the model is left ---------------------------------------------------------------------------------


def disturb(model, images):
    """What a careless measurement does to a model."""
    model.train()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    model(images).sum().backward()
    model[1].train()
    model(images)
    model[4].running_var = torch.full((5,), 7.0)


def test_model_is_left_bit_identical(tiny):
    tiny[3].eval()
    tiny[8].bias.requires_grad_(False)
    tiny[0].register_forward_hook(lambda *_: None)
    tiny(torch.randn(2, 3, 8, 9)).sum().backward()
    assert tiny[0].weight.grad is not None
    before = fingerprint(tiny)
    with rx.Capture(tiny, gradients=True):
        disturb(tiny, torch.randn(2, 3, 8, 9))
        assert fingerprint(tiny) != before
    assert fingerprint(tiny) == before


@pytest.mark.parametrize("where", range(9))
def test_model_is_left_bit_identical_when_a_module_raises(tiny, where):
    class SabotageError(Exception):
        pass

    def sabotage(module, args):
        raise SabotageError

    tiny.train()
    images = torch.randn(2, 3, 8, 9)
    tiny(images).sum().backward()
    handle = tiny[where].register_forward_pre_hook(sabotage)
    before = fingerprint(tiny)
    capture = rx.Capture(tiny, gradients=True)
    with pytest.raises(SabotageError), capture:
        tiny(images)
    assert fingerprint(tiny) == before
    handle.remove()
    before = fingerprint(tiny)
    with capture:  # and it can be used again
        tiny(images)
    assert fingerprint(tiny) == before
    assert capture.idle == []


def test_without_restore_a_training_step_goes_through(tiny):
    tiny.train()
    with rx.Capture(tiny, restore=False) as seen:
        tiny(torch.randn(2, 3, 8, 9)).sum().backward()
    assert "0" in seen.outputs
    assert tiny[0].weight.grad is not None
    assert tiny[1].num_batches_tracked == 2
    assert all(not module._forward_hooks for module in tiny.modules())


def test_putting_statistics_back_does_not_break_a_graph_the_caller_holds(tiny):
    tiny.eval()
    mine = tiny(torch.randn(2, 3, 8, 9)).sum()
    with rx.Capture(tiny):
        tiny.train()(torch.randn(2, 3, 8, 9))
    mine.backward()


def test_the_graph_is_freed_with_its_owner_and_not_by_the_garbage_collector(tiny):
    gc.disable()
    try:
        images = torch.randn(2, 3, 8, 9, requires_grad=True)
        with rx.Capture(tiny, gradients=True) as seen:
            score = tiny(images).sum()
            seen.differentiate(score)
        graph = weakref.ref(images)  # the graph's last node holds its leaf
        del images, score
        assert graph() is None
    finally:
        gc.enable()


# Which layers -------------------------------------------------------------------------------------------


def test_layers_by_name_pattern_list_function_and_none():
    net = rx.build("cifar_resnet8")
    assert list(select_layers(net, "fc")) == ["fc"]
    assert list(select_layers(net, "layer?")) == ["layer1", "layer2", "layer3"]
    assert set(select_layers(net, ["layer2.*", "fc"])) == {
        name for name, _ in net.named_modules() if name.startswith("layer2.") or name == "fc"
    }
    convs = select_layers(net, lambda name, module: isinstance(module, nn.Conv2d))
    assert len(convs) == 7
    assert set(select_layers(net)) == {name for name, _ in net.named_modules() if name}
    assert list(select_layers(nn.ReLU())) == [""]


def test_a_module_with_two_names_is_watched_once():
    relu = nn.ReLU()
    net = nn.ModuleDict({"a": relu, "b": relu})
    assert list(select_layers(net)) == ["a"]
    assert list(select_layers(net, "b")) == ["b"]
    assert list(select_layers(net, ["b", "a"])) == ["a"]


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ("layr1", r"Unknown layer 'layr1': did you mean 'layer1'"),
        (["fc", "layer9.*"], r"Unknown layer 'layer9\.\*'"),
        (lambda name, module: False, "layers chooses none of the model's"),
        ([], "layers chooses none of the model's"),
        ([3], r"layers must be None, a name or pattern.*not \[3\]"),
        (nn.Conv2d, "layers must be None"),
    ],
)
def test_layers_that_mean_nothing(layers, sentence):
    net = rx.build("cifar_resnet8")
    before = fingerprint(net)
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.Capture(net, layers)
    assert fingerprint(net) == before


def test_nested_outputs_have_nested_names():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 4)
            self.head = Head()

        def forward(self, x):
            return self.head(self.lstm(x)[0])

    class Head(nn.Module):
        def forward(self, x):
            return {"logits": x.sum(), "n": 3}

    with rx.Capture(Net(), gradients=True) as seen:
        seen.model(torch.randn(5, 2, 3))["logits"].backward()
    assert list(seen.outputs) == ["lstm[0]", "lstm[1][0]", "lstm[1][1]", "head[logits]"]
    assert seen.outputs["lstm[1][0]"].shape == (1, 2, 4)
    assert torch.equal(seen.gradients["lstm[0]"], torch.ones(5, 2, 4))


# Gradients ----------------------------------------------------------------------------------------------


def test_differentiate_touches_no_parameter_and_stops_at_the_earliest_layer(tiny):
    passed = []
    tiny[0].register_forward_hook(lambda m, a, out: out.register_hook(lambda g: passed.append("0")) and None)
    tiny[3].register_forward_hook(lambda m, a, out: out.register_hook(lambda g: passed.append("3")) and None)
    with rx.Capture(tiny, ["3", "5"]) as seen:
        gradients = seen.differentiate(tiny(torch.randn(2, 3, 8, 9)).sum())
        assert all(p.grad is None for p in tiny.parameters())
    assert passed == ["3"]
    assert list(gradients) == ["5:1", "3", "5:2"]  # the shared ReLU goes by the name that was asked for


def test_backward_after_the_block_and_the_latest_backward_counts():
    net = nn.Sequential(nn.Linear(2, 2))
    with rx.Capture(net, gradients=True) as seen:
        y = net(torch.zeros(1, 2))
    y.sum().backward(retain_graph=True)
    assert seen.gradients["0"].tolist() == [[1, 1]]
    (3 * y).sum().backward()
    assert seen.gradients["0"].tolist() == [[3, 3]]


def test_keep_reduces_what_is_stored(tiny):
    images = torch.randn(2, 3, 8, 9)
    tiny.eval()
    with rx.Capture(tiny, gradients=True) as full:
        tiny(images).sum().backward()
    with rx.Capture(tiny, gradients=True, keep=torch.linalg.vector_norm) as seen:
        asked = seen.differentiate(tiny(images).sum())
    for name, output in full.outputs.items():
        torch.testing.assert_close(seen.outputs[name], output.norm())
        torch.testing.assert_close(seen.gradients[name], full.gradients[name].norm())
        torch.testing.assert_close(asked[name], full.gradients[name].norm())


def test_outputs_need_no_graph_but_gradients_do(tiny):
    images = torch.randn(2, 3, 8, 9)
    with torch.inference_mode(), rx.Capture(tiny) as seen:
        tiny(images)
    assert seen.outputs["0"].shape == (2, 4, 6, 7)
    before = fingerprint(tiny)
    with pytest.raises(rx.ExploreError, match=r"called under torch\.no_grad"), torch.no_grad():  # noqa: SIM117
        with rx.Capture(tiny, gradients=True):
            tiny(images)
    assert fingerprint(tiny) == before


@pytest.mark.parametrize("after", ["a sum", "an in-place ReLU", "nothing"])
def test_an_output_that_is_the_input_has_the_gradient_of_its_own_uses(after):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.same = nn.Linear(2, 2), nn.Identity()

        def forward(self, x):
            x = self.linear(x).square()
            y = self.same(x)
            if after == "an in-place ReLU":
                return 3 * y.relu_()  # x is overwritten with it
            return 2 * x + 3 * y if after == "a sum" else 2 * x

    with rx.Capture(Net(), "same", gradients=True) as seen:
        for _ in range(2):
            seen.clear()
            seen.model(torch.ones(1, 2)).sum().backward(retain_graph=True)
        asked = seen.differentiate(seen.model(torch.ones(1, 2)).sum())
    if after == "nothing":
        assert not asked
        assert not seen.gradients
    else:
        assert seen.gradients["same:1"].tolist() == asked["same:2"].tolist() == [[3, 3]]


@pytest.mark.parametrize("view", ["same", "flat", "transposed", "of a leaf"])
def test_views_that_are_written_to_later(view):
    """Autograd drops a view's node then; what stands in for it must have its shape and order."""

    class View(nn.Module):
        def forward(self, x):
            return {"same": x, "flat": x.flatten(), "transposed": x.T, "of a leaf": x}[view]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.view = View()

        def forward(self, x):
            return self.view(x if view == "of a leaf" else 2 * x)

    net, images = Net(), torch.randn(3, 3, requires_grad=True)
    weight = torch.arange(9.0).reshape(9 if view == "flat" else (3, 3))
    with rx.Capture(net, "view", gradients=True) as seen:
        y = net(images)
        if view != "of a leaf":  # which torch lets nobody write to
            y.mul_(3)
        (y * weight).sum().backward()
    assert not images._backward_hooks
    expected = weight if view == "of a leaf" else 3 * weight
    if view == "transposed":  # its base has another order, so nothing can stand in
        assert "view" not in seen.gradients
    else:
        assert torch.equal(seen.gradients["view"], expected)


def test_what_is_missing_is_explained(tiny):
    tiny.requires_grad_(False)
    tiny[8].weight.requires_grad_(True)
    with rx.Capture(tiny, gradients=True) as seen:
        seen.model(torch.randn(2, 3, 8, 9)).sum().backward()
    assert "3" not in seen.gradients
    assert seen.gradients.get("3") is None
    with pytest.raises(rx.ExploreError, match="No gradient has reached '3'"):
        seen.gradients["3"]
    with pytest.raises(rx.ExploreError, match="Unknown captured layer '2': did you mean '2:2' or '2:1'"):
        seen.outputs["2"]
    with rx.Capture(tiny) as seen:
        with pytest.raises(rx.ExploreError, match="gradients=True"):
            _ = seen.gradients
        with pytest.raises(rx.ExploreError, match=r"one number.*shape \(2, 2\)"):
            seen.differentiate(tiny(torch.randn(2, 3, 8, 9)))
        with pytest.raises(rx.ExploreError, match="in use already"):
            seen.__enter__()


def test_what_another_hook_returns_is_what_is_seen():
    net = nn.Sequential(nn.ReLU())
    net[0].register_forward_hook(lambda module, args, output: output + 1)
    with rx.Capture(net) as seen:
        assert torch.equal(net(torch.zeros(2)), seen.outputs["0"])


# Models of every sort --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["torch.compile", "Module.compile", "a compiled part"])
def test_a_compiled_model_is_seen_like_the_one_it_was_made_from(how):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)).eval()
    images = torch.randn(1, 3, 8, 9)
    with rx.Capture(net) as seen:
        net(images)
    expected, prefix, compiled = dict(seen.outputs), "", net
    if how == "torch.compile":
        prefix, compiled = "_orig_mod.", torch.compile(net, backend="eager")
    elif how == "Module.compile":
        net.compile(backend="eager")
    else:
        net[0].compile(backend="eager")
    compiled(images)  # from here on compiled code would pass over hooks that come later
    with rx.Capture(compiled, gradients=True) as seen:
        compiled(images).sum().backward()
    for name, output in expected.items():
        assert torch.equal(seen.outputs[prefix + name], output)
        assert seen.gradients[prefix + name].shape == output.shape
    assert seen.idle == []


def test_replicas_are_refused_and_a_wrapper_without_them_is_not(tiny):
    wrapped = nn.DataParallel(tiny)
    with rx.Capture(wrapped, "module.3") as seen:
        wrapped(torch.randn(2, 3, 8, 9))
    assert list(seen.outputs) == ["module.3"]
    wrapped.device_ids = [0, 1]
    for attempt in (lambda: rx.Capture(wrapped).__enter__(), lambda: rx.Capture.check(wrapped)):
        with pytest.raises(rx.ExploreError, match=r"a DataParallel that runs 2 copies.*\.module"):
            attempt()


def test_shapes_without_values_can_be_captured():
    with torch.device("meta"):
        net = torchvision.models.resnet18()
    with rx.Capture(net, "layer?") as seen:
        net(torch.zeros(2, 3, 64, 96, device="meta"))
    assert [tuple(o.shape[1:]) for o in seen.outputs.values()] == [
        (64, 16, 24), (128, 8, 12), (256, 4, 6), (512, 2, 3),
    ]  # fmt: skip
    assert all(o.is_meta for o in seen.outputs.values())


def test_a_capture_says_what_it_watches_and_holds():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with rx.Capture(net, gradients=True) as seen:
        assert repr(seen) == "<Capture of 2 modules of a Sequential, gradients too: nothing has run yet>"
        net(torch.zeros(500, 3, 12, 7))
    assert repr(seen) == "<Capture of 2 modules of a Sequential, gradients too: 2 outputs, 0.8 MB>"
    assert repr(rx.Capture(net, "0")).startswith("<Capture of 1 module of a Sequential: ")


def test_a_name_is_no_network():
    with pytest.raises(rx.ExploreError, match=r"must be a torch\.nn\.Module, not str: .*build\('resnet18'\)"):
        rx.Capture("resnet18")
