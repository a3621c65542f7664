"""What each block adds to the logits: against networks run by hand, summand by summand."""

import dataclasses

import pytest
import timm
import torch
import torchvision
from hypothesis import given, settings, strategies as st
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from witnesses import fingerprint, thin_resnet

import resnet_explore as rx
from resnet_explore.models.blocks import ORDERS


def close(found, expected, share=1e-11):
    """Whether numbers agree up to a share of the largest."""
    torch.testing.assert_close(found, expected, rtol=0, atol=share * max(1.0, float(expected.abs().max())))


def stirred(model, seed=0):
    """Return a network in double precision whose norms and biases do something."""
    random = torch.Generator().manual_seed(seed)
    model = model.double().eval()
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(0.3 * torch.randn(buffer.shape, generator=random))
        elif name.endswith("running_var"):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=random))
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=random, dtype=torch.float64)
    return model


def some(count=3, channels=3, height=16, width=24, seed=1):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, height, width, generator=random, dtype=torch.float64)


class ByHand:
    """Summands by name, pushed through one layer after the other."""

    def __init__(self, stem):
        self.parts = {"stem": stem, "bias": torch.zeros_like(stem)}

    @property
    def whole(self):
        return sum(self.parts.values())

    def linear(self, layer):
        """Take each summand through a layer that is linear but for what it gives of zeros."""
        nothing = layer(torch.zeros_like(self.whole))
        self.parts = {name: layer(part) - nothing for name, part in self.parts.items()}
        self.parts["bias"] = self.parts["bias"] + nothing

    def relu(self):
        mask = self.whole > 0
        self.parts = {name: part * mask for name, part in self.parts.items()}

    def group_norm(self, norm):
        x = self.whole
        grouped = x.reshape(len(x), norm.num_groups, -1)
        deviation = (grouped.var(-1, correction=0) + norm.eps).sqrt()
        weight, bias = norm.weight[:, None, None], norm.bias[:, None, None]
        for name, part in self.parts.items():
            inside = part.reshape(grouped.shape)
            inside = (inside - inside.mean(-1, keepdim=True)) / deviation[..., None]
            self.parts[name] = inside.reshape(x.shape) * weight
        self.parts["bias"] = self.parts["bias"] + bias

    def layer(self, layer):
        if isinstance(layer, nn.ReLU):
            self.relu()
        elif isinstance(layer, nn.GroupNorm):
            self.group_norm(layer)
        else:
            self.linear(layer)


def ours_by_hand(net, images):
    """Return the contributions of one of our networks, from its blocks' own methods."""
    pre = net.config.order == "pre"
    hand = ByHand(net.stem(images) if pre else net.maxpool(net.relu(net.bn1(net.conv1(images)))))
    names = {module: name for name, module in net.named_modules()}
    for block in net.blocks:
        if pre and block.first:
            hand.layer(block.norm1)
            hand.layer(block.relu1)
        branch = block.branch(hand.whole) * block.add.branch_scale
        if isinstance(block.downsample, nn.Sequential):
            for layer in block.downsample:
                hand.layer(layer)
        elif block.downsample is not None:
            hand.linear(block.downsample)
        hand.linear(lambda x, block=block: x * block.add.skip_scale)
        hand.parts[names[block]] = branch
        for name in block.after_add:
            hand.layer(getattr(block, name))
    if getattr(net, "last_relu", None) is not None:
        hand.relu()
    if pre:
        hand.layer(net.norm)
        hand.layer(net.relu)
        hand.linear(net.head)
    else:
        hand.linear(lambda x: net.fc(net.avgpool(x).flatten(1)))
    return hand.parts


@st.composite
def configs(draw):
    order = draw(st.sampled_from(list(ORDERS)))
    config = rx.build(f"cifar_resnet{draw(st.sampled_from([8, 14]))}").config
    return dataclasses.replace(
        config,
        widths=tuple(draw(st.sampled_from([4, 6])) * 2**i for i in range(3)),
        order=order,
        shortcut=draw(st.sampled_from(["padding", "projection", "projection_all"])),
        norm=draw(st.sampled_from(["batch", "group", "none"])) if order == "post" else "batch",
        branch_scale=draw(st.sampled_from([1.0, 0.5])),
        skip_scale=draw(st.sampled_from([1.0, 0.75])),
        num_classes=draw(st.sampled_from([3, 7])),
    )


@settings(max_examples=12, deadline=None)
@given(configs(), st.integers(0, 1000))
def test_contributions_are_those_of_a_network_run_by_hand(config, seed):
    net, images = stirred(rx.build(config), seed), some(seed=seed)
    found = rx.logit_contributions(net, images)
    with torch.no_grad():
        by_hand, logits = ours_by_hand(net, images), net(images)
    assert set(found) == set(by_hand)
    assert next(iter(found)) == "stem"
    for name, part in by_hand.items():
        close(found[name], part)
    close(sum(found.values()), logits)
    assert found.error < 1e-12
    close(found.running[-1], logits)


def test_contributions_of_torchvisions_resnet18_are_those_run_by_hand():
    net, images = stirred(thin_resnet(BasicBlock, [2, 2, 2, 2], 5)), some(2, height=64, width=96)
    found = rx.logit_contributions(net, images)
    with torch.no_grad():
        hand = ByHand(net.maxpool(net.relu(net.bn1(net.conv1(images)))))
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            for block in stage:
                x = hand.whole
                branch = block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))
                if block.downsample is not None:
                    hand.linear(block.downsample)
                hand.parts[next(n for n, m in net.named_modules() if m is block)] = branch
                hand.relu()
        hand.linear(lambda x: net.fc(net.avgpool(x).flatten(1)))
    assert set(found) == set(hand.parts)
    for name, part in hand.parts.items():
        close(found[name], part)


def preactivation():
    return timm.models.resnetv2.ResNetV2(
        layers=(1, 2),
        channels=(16, 32),
        num_classes=4,
        stem_chs=8,
        conv_layer=timm.layers.create_conv2d,
        norm_layer=timm.layers.BatchNormAct2d,
    )


def transformer():
    return timm.models.VisionTransformer(
        img_size=(16, 24), patch_size=8, embed_dim=12, depth=3, num_heads=2, num_classes=5
    )


def test_a_transformers_contributions_are_those_with_the_last_norm_frozen():
    net, images = stirred(transformer()), some(2)
    found = rx.logit_contributions(net, images)
    streams = rx.residual_stream(net, images)
    inputs = []
    handle = net.blocks[0].register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    net(images)
    handle.remove()
    added = {"stem": inputs[0]}
    for name in ("blocks.0", "blocks.1", "blocks.2"):
        with torch.no_grad():
            block, x = net.get_submodule(name), sum(added.values())
            added[name] = block(x) - x
    deviation = (sum(added.values()).var(-1, correction=0) + net.norm.eps).sqrt()[..., None]
    for name, part in added.items():
        normed = (part - part.mean(-1, keepdim=True)) / deviation * net.norm.weight
        close(found[name], (normed[:, 0] @ net.head.weight.T).detach())
    close(found["bias"][0], net.head(net.norm.bias).detach())
    assert len(streams) == 2 * len(found.blocks)
    with pytest.raises(rx.ExploreError, match="no maps of contributions: the network takes no mean"):
        found.maps("stem", 0)


def test_torchvisions_vision_transformer_is_taken_apart_block_by_block():
    torch.manual_seed(0)
    net = torchvision.models.VisionTransformer(64, 16, 12, 3, 48, 96, num_classes=5).eval()
    nn.init.normal_(net.heads.head.weight, std=0.1)  # it begins with zeros, and so without an answer
    images, streams = some(2, height=64, width=64).float(), []
    layers = net.encoder.layers
    handles = [layers[0].register_forward_pre_hook(lambda _, given: streams.append(given[0]))]
    handles += [layer.register_forward_hook(lambda *seen: streams.append(seen[-1])) for layer in layers]
    with torch.no_grad():
        logits = net(images)
    for handle in handles:
        handle.remove()
    found = rx.logit_contributions(net, images)
    close(sum(found.values()), logits, 1e-5)
    assert found.error < 1e-5
    assert found.blocks == tuple(f"encoder.layers.encoder_layer_{k}" for k in range(12))
    norm, head = net.encoder.ln, net.heads.head
    tokens = [stream[:, 0] for stream in streams]  # the class token, which alone is read
    deviation = (tokens[-1].var(-1, correction=0) + norm.eps).sqrt()[:, None]
    for name, before, after in zip(found.blocks, tokens, tokens[1:], strict=False):
        added = after - before
        normed = (added - added.mean(-1, keepdim=True)) / deviation * norm.weight
        close(found[name], (normed @ head.weight.T).detach(), 1e-4)


OTHERS = {
    "a pre-activation net": preactivation,
    "bottlenecks": lambda: thin_resnet(Bottleneck, [2, 2, 1, 1], 5),
    "squeeze and excitation": lambda: (
        timm.create_model("seresnet18", num_classes=5, channels=(8, 16, 32, 64), stem_width=8)
        if "seresnet18" in timm.list_models()
        else timm.create_model("legacy_seresnet18", num_classes=5)
    ),
    "tokens": transformer,
    "blocks without a skip": lambda: timm.create_model("mobilenetv3_small_050", num_classes=5),
    "channels last": lambda: timm.create_model("convnext_atto", num_classes=5).to(
        memory_format=torch.channels_last
    ),
}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS.keys())
def test_contributions_add_up_in_networks_of_others(make):
    torch.manual_seed(0)
    net = stirred(make())
    images = some(2, height=16, width=24) if make is transformer else some(2, height=64, width=96)
    before = fingerprint(net)
    found = rx.logit_contributions(net, images)
    assert fingerprint(net) == before
    logits = net(images).detach()
    close(sum(found.values()), logits)
    assert found.error < 1e-11
    for name in found if found.places is not None else ():
        maps = found.maps(name, [1, 3])
        assert maps.dtype == torch.float32
        total = found[name][[0, 1], [1, 3]].float()
        close(maps.sum((1, 2)), total, 1e-4)


@pytest.mark.parametrize("make", [lambda: rx.build("cifar_resnet14"), preactivation], ids=["post", "pre"])
def test_what_the_head_says_behind_a_block_is_what_it_says_when_later_branches_are_deleted(make):
    net, images = stirred(make()), some()
    found = rx.logit_contributions(net, images)
    for k in range(len(found.blocks) - 1):
        with rx.edited(net, delete=found.blocks[k + 1 :], input_size=(3, 16, 24)), torch.no_grad():
            close(found.running[k], net(images))
    with rx.edited(net, delete=found.blocks, input_size=(3, 16, 24)), torch.no_grad():
        close(found.start, net(images))


def test_a_map_is_what_each_place_of_the_last_features_adds():
    """With one block's branch alone in the last stage, its map can be had from the features directly."""
    net, images = stirred(rx.build("cifar_resnet8")), some()
    found = rx.logit_contributions(net, images)
    block, entering = net.blocks[-1], []
    handle = block.register_forward_pre_hook(lambda _, args: entering.append(args[0]))
    with torch.no_grad():
        net(images)
        handle.remove()
        branch, after = block.branch(entering[0]), block(entering[0])
    features = branch * (after > 0)
    expected = torch.einsum("nchw,c->nhw", features, net.fc.weight[2]) / features[0, 0].numel()
    torch.testing.assert_close(found.maps(found.blocks[-1], 2), expected.float().detach())
    bias = found.maps("bias", 2)
    torch.testing.assert_close(bias.sum((1, 2)), found["bias"][:, 2].float())


def test_many_images_are_split_and_put_together(monkeypatch):
    monkeypatch.setattr("resnet_explore.analysis.activations.contributions._AT_ONCE", 1)
    net, images = stirred(rx.build("cifar_resnet8")), some()
    alone = rx.logit_contributions(net, images)
    monkeypatch.undo()
    at_once = rx.logit_contributions(net, images)
    close(alone.each, at_once.each)
    close(alone.running, at_once.running)
    torch.testing.assert_close(alone.places, at_once.places)


def test_more_images_than_the_memory_holds_are_refused(monkeypatch):
    monkeypatch.setattr("resnet_explore.analysis.activations.contributions.free_memory", lambda _: 1_000)
    with pytest.raises(rx.ExploreError, match="give fewer images at a time"):
        rx.logit_contributions(rx.build("cifar_resnet8"), some(3).float())


def test_single_precision_adds_up_within_a_ten_thousandth():
    torch.manual_seed(0)
    for net in (thin_resnet(BasicBlock, [2, 2, 2, 2], 5), preactivation(), transformer()):
        images = some(2) if hasattr(net, "patch_embed") else some(2, height=64, width=96)
        found = rx.logit_contributions(net, images.float())
        assert found.error <= 1e-4
        assert found["stem"].dtype == torch.float32


def test_a_block_without_a_skip_ends_what_came_before():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            residual, plain = (rx.build(f"cifar_{kind}8") for kind in ("resnet", "plain"))
            self.first, self.middle = residual.layer1, plain.layer2
            self.last, self.fc = residual.layer3, residual.fc
            self.stem = nn.Conv2d(3, 16, 3, padding=1)

        def forward(self, x):
            return self.fc(self.last(self.middle(self.first(self.stem(x)))).mean((2, 3)))

    found = rx.logit_contributions(Mixed().double(), some())
    assert found.blocks == ("first.0", "middle.0", "last.0")
    assert not found["stem"].any()
    assert not found["first.0"].any()
    assert found["middle.0"].any()
    assert found.running[0].isnan().all()
    assert not found.running[1:].isnan().any()
    assert found.error < 1e-12


class Sorted(nn.Module):
    """Sorts the channels of its last features, which nobody can follow."""

    def __init__(self):
        super().__init__()
        self.net = rx.build("cifar_resnet8")
        self.fc, self.net.fc = self.net.fc, nn.Identity()

    def forward(self, x):
        return self.fc(self.net(x).sort(1).values)


class Copied(nn.Module):
    """Writes its last features into zeros, which nobody sees in the zeros."""

    def __init__(self):
        super().__init__()
        self.net = rx.build("cifar_resnet8")
        self.fc, self.net.fc = self.net.fc, nn.Identity()

    def forward(self, x):
        written = torch.zeros(len(x), 64)
        written[:, :32] = self.net(x)[:, 32:]
        return self.fc(written)


class Twice(nn.Module):
    """Runs its only block two times."""

    def __init__(self):
        super().__init__()
        self.net = rx.build("cifar_resnet8")

    def forward(self, x):
        x = self.net.bn1(self.net.conv1(x))
        return self.net.fc(self.net.layer1(self.net.layer1(x)).mean((2, 3)) @ torch.ones(16, 64))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: rx.build("cifar_plain8"), "one path, and all of the logits come from its last block"),
        (lambda: timm.create_model("densenet121"), "no skip that ends in a sum"),
        (Sorted, "no rule says what the operation 'sort' makes of each"),
        (Copied, "no rule says what the operation 'copy' makes of each"),
        (Twice, "'net.layer1.0' runs 2 times in one pass"),
    ],
)
def test_what_cannot_be_split_is_said_in_a_sentence(make, sentence):
    net = make()
    before = fingerprint(net)
    with pytest.raises(rx.ExploreError, match=sentence) as error:
        rx.logit_contributions(net, torch.randn(1, 3, 32, 32))
    assert "\n" not in str(error.value)
    assert fingerprint(net) == before


def test_bad_input_is_said_in_a_sentence():
    net = rx.build("cifar_resnet8")
    with pytest.raises(rx.ExploreError, match="float tensor"):
        rx.logit_contributions(net, [[1.0]])
    found = rx.logit_contributions(net, some(2).float())
    with pytest.raises(rx.ExploreError, match=r"Unknown part 'layer1\.O': did you mean 'layer1\.0'"):
        found.maps("layer1.O", 1)
    with pytest.raises(rx.ExploreError, match=r"must lie in 0\.\.9"):
        found.maps("stem", 10)
    with pytest.raises(rx.ExploreError, match="2 whole numbers"):
        found.maps("stem", [1, 2, 3])
    with pytest.raises(KeyError):
        found["layer9.0"]
    assert len(repr(found)) < 600
