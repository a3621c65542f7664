"""Tokens as maps: their order against noise in one patch, the maps against gradients taken by hand."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings, strategies as st
from timm.layers import GatedMlp
from timm.models.gcvit import GlobalContextVit
from timm.models.mlp_mixer import MlpMixer, ResBlock, SpatialGatingBlock
from timm.models.mvitv2 import MultiScaleVit, MultiScaleVitCfg
from timm.models.nest import Nest
from torch import nn
from torchvision.models import SwinTransformer, VisionTransformer
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.activations.feature_maps import feature_maps, whole_map
from resnet_explore.analysis.explain.maps import last_with_map, weighted_sum
from resnet_explore.analysis.explain.methods.registry import BLOCKS, METHODS, methods
from resnet_explore.analysis.explain.scoring.evaluation import block_before_last_stage
from resnet_explore.analysis.explain.scoring.verdict import explainer
from resnet_explore.analysis.explain.split import split_maps
from resnet_explore.analysis.topology.cam_layers import choose_layers
from resnet_explore.analysis.topology.laid import module_name
from resnet_explore.analysis.topology.places import Places
from resnet_explore.analysis.topology.tokens import TokenGrid, grid_of, grids
from resnet_explore.widgets.core.view import settled

VIT = {"img_size": (32, 48), "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2}
MIXER = {"img_size": 40, "patch_size": 8, "embed_dim": 16, "num_blocks": 2}
STAGES = {"depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1)}
make = partial(timm.create_model, num_classes=3)
# How it is built, the size of its images, the size of the first map, and which tokens are on no map.
NETS = {
    "vit": (lambda: make("vit_tiny_patch16_224", **VIT), (32, 48), (4, 6), "the first of 25"),
    "vit, mean": (
        lambda: make("vit_tiny_patch16_224", **VIT, global_pool="avg", class_token=False, fc_norm=False),
        *((32, 48), (4, 6), ""),
    ),
    "registers": (
        lambda: make("vit_small_patch14_reg4_dinov2", **VIT),
        (32, 48),
        (4, 6),
        "the first 5 of 29",
    ),
    "distilled": (
        lambda: make("deit_tiny_distilled_patch16_224", **VIT),
        *((32, 48), (4, 6), "the first 2 of 26"),
    ),
    "torchvision's vit": (
        lambda: VisionTransformer(48, 8, 3, 2, 16, 32, num_classes=3),
        *((48, 48), (6, 6), "the first of 37"),
    ),
    # 12x16 windows of 3x3 are padded, and shifted in every other block
    "torchvision's swin": (
        lambda: SwinTransformer([4, 4], 8, [2, 2], [1, 2], [3, 3], num_classes=3),
        *((48, 64), (12, 16), ""),
    ),
    "swin v2": (
        lambda: make(
            "swinv2_tiny_window8_256",
            **{"img_size": (32, 64), "window_size": 4, "embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2)},
        ),
        *((32, 64), (8, 16), ""),
    ),
    "hiera": (
        lambda: make("hiera_tiny_224", img_size=(64, 96), embed_dim=8, num_heads=1, stages=(1, 2, 1, 1)),
        *((64, 96), (16, 24), ""),
    ),
    "mvit": (
        lambda: MultiScaleVit(
            MultiScaleVitCfg((1, 1, 2, 1), 8, 1, rel_pos_type="none"), img_size=(64, 96), num_classes=3
        ),
        *((64, 96), (16, 24), ""),
    ),
    "mvit, class token": (
        lambda: MultiScaleVit(
            MultiScaleVitCfg((1, 1, 1, 1), 8, 1, use_cls_token=True, rel_pos_type="none"),
            img_size=(64, 96),
            num_classes=3,
        ),
        *((64, 96), (16, 24), "the first of 385"),
    ),
    "mixer": (lambda: MlpMixer(**MIXER, num_classes=3), (40, 40), (5, 5), ""),
    "gmlp": (
        lambda: MlpMixer(
            **MIXER, num_classes=3, block_layer=SpatialGatingBlock, mlp_layer=GatedMlp, mlp_ratio=4
        ),
        *((40, 40), (5, 5), ""),
    ),
    "resmlp": (
        lambda: MlpMixer(**MIXER, num_classes=3, block_layer=ResBlock, mlp_ratio=4),
        *((40, 40), (5, 5), ""),
    ),
    "cait": (lambda: make("cait_xxs24_224", **VIT | {"depth": 2}), (32, 48), (4, 6), ""),
    "pvt": (
        lambda: make("pvt_v2_b0", embed_dims=(8, 16, 16, 16), **STAGES),
        *((64, 96), (16, 24), ""),
    ),
    "xcit": (
        lambda: make("xcit_nano_12_p16_224", img_size=(64, 96), embed_dim=16, depth=2, num_heads=2),
        *((64, 96), (4, 6), ""),
    ),
    "levit": (
        lambda: make(
            "levit_128s",
            **{"img_size": 96, "embed_dim": (8, 8, 8), "key_dim": 4, "num_heads": (1, 1, 1)},
            depth=(1, 1, 1),
        ),
        *((96, 96), (6, 6), ""),
    ),
    "nest": (
        lambda: Nest(img_size=32, embed_dims=(8, 8, 8), num_heads=(1, 1, 1), depths=(1, 1, 1), num_classes=3),
        *((32, 32), (8, 8), ""),
    ),
    "gcvit": (
        lambda: GlobalContextVit(
            img_size=(64, 96),
            depths=(4, 4),
            num_heads=(1, 1),
            embed_dim=8,
            window_ratio=(8, 8),
            num_classes=3,
        ),
        *((64, 96), (16, 24), ""),
    ),
}


def built(name):
    """A network with random weights, also in its head, and two images."""
    create, size, *_ = NETS[name]
    torch.manual_seed(0)
    net = create().eval()
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():  # some begin at 0
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    return net, torch.rand(2, 3, *size, generator=draw)


def outputs_of(net, layers, images):
    """What modules return, with the graph, and the logits."""
    seen = {}

    def note(name):
        return lambda module, args, output: seen.__setitem__(
            name, output[0] if isinstance(output, tuple) else output
        )

    hooks = [net.get_submodule(name).register_forward_hook(note(name)) for name in layers]
    logits = net(images)
    for hook in hooks:
        hook.remove()
    return seen, logits


# Their patches overlap, so that a neighbour may change more.
OVERLAPPING = ("hiera", "mvit", "mvit, class token", "pvt", "xcit", "levit", "gcvit")


@pytest.mark.parametrize("name", NETS)
def test_noise_in_one_patch_changes_the_token_that_lies_there_most(name):
    net, images = built(name)
    _, _, (height, width), _ = NETS[name]
    found = feature_maps(net, images[:1], layers=list(choose_layers(net).names[:1]))
    layer = next(iter(found))
    assert found[layer].shape[1:] == (height, width)
    np.testing.assert_allclose(whole_map(net, images[:1], layer), found[layer].maps, rtol=1e-4, atol=1e-5)
    cell = images.shape[2] // height, images.shape[3] // width
    draw = torch.Generator().manual_seed(2)
    places = ((0, 0), (height - 1, 1), (height // 2, width - 1), (1, width // 2))
    noisy = images[:1].repeat(len(places), 1, 1, 1)
    for image, (row, column) in zip(noisy, places, strict=True):
        rows = slice(row * cell[0], (row + 1) * cell[0])
        columns = slice(column * cell[1], (column + 1) * cell[1])
        patch = image[:, rows, columns]
        patch += 3 * torch.randn(patch.shape, generator=draw)
    module = module_name(layer)  # "block[0]" is an output of a block that has several
    with torch.no_grad():
        seen, _ = outputs_of(net, [module], noisy)
    maps = grids(net, images, module)[layer].lay(seen[module])
    changes = (maps - torch.from_numpy(found[layer].maps)).abs().sum(1)
    for change, (row, column) in zip(changes, places, strict=True):
        found_row, found_column = divmod(int(change.argmax()), width)
        away = max(abs(found_row - row), abs(found_column - column))
        assert away <= (name in OVERLAPPING)


@pytest.mark.parametrize("name", NETS)
def test_every_network_has_maps_by_default_and_says_how(name):
    net, images = built(name)
    _, _, size, left = NETS[name]
    before = fingerprint(net)
    maps = rx.class_activation_maps(net, images)
    assert fingerprint(net) == before
    first = next(iter(maps))
    assert maps[first].shape == (2, *size)
    assert all(cam.isfinite().all() and cam.any() for cam in maps.values())
    said = maps.layouts[first]
    assert ("tokens laid out as a map of" in said) or ("with its channels last" in said)
    assert left in said
    assert (" left out" in said) == bool(left)
    for layer, weights in maps.weights.items():
        assert weights.shape[0] == 2
        assert weights.shape[2:] == (1, 1), layer
    reason = choose_layers(net).reason
    assert "what they give is laid out as maps where it is known how it lies on the image" in reason


# By hand: which modules, and how their outputs become maps (N, C, h, w).
BY_HAND = {
    "torchvision's swin": (
        ["features.1.0", "features.1.1", "features.3.1"],
        lambda net, i, output: output.permute(0, 3, 1, 2),
    ),
    "torchvision's vit": (
        ["encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1"],
        lambda net, i, output: output[:, 1:].transpose(1, 2).unflatten(2, (6, 6)),
    ),
    "hiera": (
        [f"blocks.{k}" for k in range(5)],
        lambda net, i, output: net.reroll(output, i).permute(0, 3, 1, 2),
    ),
    "mvit": (
        [f"stages.{k}.blocks.0" for k in range(4)],
        lambda net, i, output: output.transpose(1, 2).unflatten(2, (16 >> i, 24 >> i)),
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("method", methods(BLOCKS))
def test_maps_are_those_of_gradients_taken_by_hand(name, method):
    net, images = built(name)
    layers, as_map = BY_HAND[name]
    seen, logits = outputs_of(net, layers, images)
    gradients = torch.autograd.grad(logits[0, 2] + logits[1, 0], list(seen.values()))
    maps = rx.class_activation_maps(net, images, [2, 0], layers, method)
    assert len(maps) == len(layers)
    for i, (cam, output, gradient) in enumerate(zip(maps.values(), seen.values(), gradients, strict=True)):
        activations = as_map(net, i, output.detach())
        weights = METHODS[method].formula(activations, as_map(net, i, gradient))
        expected = weighted_sum(weights, activations)
        close = {"rtol": 1e-3, "atol": 1e-4 * float(expected.abs().max())}
        torch.testing.assert_close(cam, expected, **close)


def test_the_last_block_before_a_class_token_is_left_out_and_it_is_said_why():
    net, images = built("vit")
    maps = rx.class_activation_maps(net, images)
    assert list(maps) == ["blocks.0", "blocks.1"]
    assert list(maps.omitted) == ["blocks.2"]
    assert "no gradient of the logits reaches" in maps.omitted["blocks.2"]
    assert "class token" in maps.omitted["blocks.2"]
    with pytest.raises(
        rx.ExploreError, match=r"No gradient of the logits reaches the map of 'blocks.2', as .* class token"
    ):
        rx.class_activation_maps(net, images, layers="blocks.2")
    assert "blocks.2" in rx.class_activation_maps(net, images, layers="blocks.2", method="eigen_cam")
    mean, images = built("vit, mean")
    assert list(rx.class_activation_maps(mean, images)) == ["blocks.0", "blocks.1", "blocks.2"]
    assert explainer("grad_cam")(net, images, torch.tensor([0, 1])).shape == (2, 4, 6)


@pytest.mark.parametrize("name", ["vit", "hiera", "mvit", "torchvision's swin"])
def test_ablation_takes_a_channel_from_the_tokens_on_the_map_alone(name):
    net, images = built(name)
    layer = {"vit": "blocks.1", "hiera": "blocks.1", "mvit": "stages.1.blocks.0"}.get(name, "features.1.1")
    maps = rx.class_activation_maps(net, images, 1, layer, "ablation_cam", batch_size=5)
    channel = 3

    def without(module, args, output):
        whole = (output[0] if isinstance(output, tuple) else output).clone()
        whole[:, 1 if name == "vit" else 0 :, ..., channel] = 0
        return (whole, *output[1:]) if isinstance(output, tuple) else whole

    before = net(images)[:, 1]
    hook = net.get_submodule(layer).register_forward_hook(without)
    after = net(images)[:, 1]
    hook.remove()
    weights = next(iter(maps.weights.values()))
    torch.testing.assert_close(
        weights[:, channel, 0, 0], (before - after) / before.abs(), rtol=1e-3, atol=1e-5
    )


def test_score_cam_of_tokens():
    net, images = built("hiera")
    maps = rx.class_activation_maps(net, images, 1, "blocks.3", "score_cam")
    seen, _ = outputs_of(net, ["blocks.3"], images)
    activations = net.reroll(seen["blocks.3"].detach(), 3).permute(0, 3, 1, 2)
    scores = []
    for channel in activations[0]:
        mask = nn.functional.interpolate(channel[None, None], (64, 96), mode="bilinear", align_corners=False)
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        scores.append(net(images[:1] * mask)[0, 1])
    weights = torch.stack(scores).softmax(0)
    torch.testing.assert_close(maps["blocks.3"][0], torch.einsum("c,chw->hw", weights, activations[0]))


@pytest.mark.parametrize("name", ["vit", "torchvision's vit", "torchvision's swin", "hiera", "mvit"])
def test_a_block_s_map_is_split_into_its_input_and_all_that_it_added(name):
    net, images = built(name)
    parts = split_maps(net, images, 1)
    assert len(parts.skip) >= 2
    for layer, cam in parts.whole.items():
        total = parts.skip[layer] + parts.branch[layer]
        torch.testing.assert_close(total, cam, rtol=1e-4, atol=1e-4 * float(cam.abs().max()))
    if name == "vit":
        inputs = {}
        net.blocks[1].register_forward_pre_hook(lambda m, args: inputs.__setitem__(0, args[0]))
        net(images)
        carried = inputs[0][:, 1:].transpose(1, 2).unflatten(2, (4, 6))
        expected = (parts.whole.weights["blocks.1"] * carried).sum(1)
        torch.testing.assert_close(parts.skip["blocks.1"], expected.detach(), rtol=1e-4, atol=1e-6)


# The residual stream -------------------------------------------------------------------------------------


def test_each_block_of_a_vit_adds_twice_to_one_stream():
    net, images = built("vit")
    streams = rx.residual_stream(net, images)
    assert list(streams) == [f"blocks.{k}:{i}" for k in range(3) for i in (1, 2)]
    x = net.norm_pre(net.patch_drop(net._pos_embed(net.patch_embed(images))))

    def maps(tokens):
        return tokens[:, 1:].transpose(1, 2).unflatten(2, (4, 6))

    with torch.no_grad():
        for k, block in enumerate(net.blocks):
            attention = block.ls1(block.attn(block.norm1(x)))
            mlp = block.ls2(block.mlp(block.norm2(x + attention)))
            close = {"rtol": 1e-4, "atol": 1e-5}
            torch.testing.assert_close(streams[f"blocks.{k}:1"].skip, maps(x), **close)
            torch.testing.assert_close(streams[f"blocks.{k}:1"].branch, maps(attention), **close)
            torch.testing.assert_close(streams[f"blocks.{k}:2"].skip, maps(x + attention), **close)
            torch.testing.assert_close(streams[f"blocks.{k}:2"].branch, maps(mlp), **close)
            torch.testing.assert_close(streams[f"blocks.{k}"].skip, maps(x), **close)
            torch.testing.assert_close(streams[f"blocks.{k}"].branch, maps(attention + mlp), **close)
            assert f"blocks.{k}" in streams
            x = x + attention + mlp
    assert "24 tokens laid out as a map of 4×6" in streams["blocks.0"].layout
    assert streams["blocks.0:1"].ratio.shape == (2,)
    assert list(rx.residual_stream(net, images, ["blocks.1"])) == ["blocks.1:1", "blocks.1:2"]


@pytest.mark.parametrize("name", NETS)
def test_what_a_block_gives_is_what_its_skip_carried_and_its_branches_added(name):
    net, images = built(name)
    found = feature_maps(net, images)
    layers = [layer for layer in found.values() if layer.skip is not None]
    assert layers or name == "levit"  # its blocks hold modules that add
    for layer in layers:
        assert layer.skip.shape == layer.maps.shape == layer.branch.shape
        if name != "xcit" or "cls" not in layer.name:  # whose class attention norms the sum
            torch.testing.assert_close(
                torch.tensor(layer.skip + layer.branch), torch.tensor(layer.maps), rtol=1e-3, atol=1e-4
            )


def test_fused_attention_counts_as_layers_and_hides_no_module():
    """Torch's own encoder runs as one operation in eval mode, unless it is asked not to."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 3)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

        def forward(self, x):
            return self.head(self.encoder(self.embed(x).flatten(2).mT).mean(1))

    net, images = Net().eval(), torch.rand(2, 3, 8, 12)
    fast = torch.backends.mha.get_fastpath_enabled()
    streams = rx.residual_stream(net, images)
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert list(streams) == [f"encoder.layers.{k}:{i}" for k in (0, 1) for i in (1, 2)]
    assert streams["encoder.layers.0"].skip.shape == (2, 8, 2, 3)
    assert list(rx.class_activation_maps(net, images)) == ["encoder.layers.0", "encoder.layers.1"]


# What is no map -------------------------------------------------------------------------------------------


class Latents(nn.Module):
    """Learnt latents look at the image and at each other, as in a Perceiver: they lie nowhere on it."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 3)
        self.latents = nn.Parameter(torch.randn(1, 6, 8))
        self.blocks = nn.ModuleList(nn.MultiheadAttention(8, 2, batch_first=True) for _ in range(3))
        for block in self.blocks:  # two linear layers are a block
            block.mlp = nn.Linear(8, 8)

    def forward(self, x):
        tokens, latents = self.embed(x).flatten(2).mT, self.latents.expand(len(x), -1, -1)
        for block in self.blocks:
            latents = latents + block.mlp(block(latents, tokens, tokens, need_weights=False)[0])
        return self.head(latents.mean(1))


def test_where_tokens_lie_nowhere_other_layers_are_chosen_and_it_is_said():
    torch.manual_seed(0)
    net, images = Latents().eval(), torch.rand(2, 3, 12, 20)
    maps = rx.class_activation_maps(net, images)
    assert list(maps) == ["embed"]
    assert list(maps.omitted) == ["blocks.0[0]", "blocks.1[0]", "blocks.2[0]"]  # attention returns two things
    for why in maps.omitted.values():
        assert why.startswith("it gives an output of shape (2, 6, 8), but a map needs (2, channels, ")
        assert why.endswith("and nothing tells where on the image its values lie")
    with pytest.raises(rx.ExploreError, match=r"\(2, 6, 8\), but a map needs .*nothing tells where"):
        rx.class_activation_maps(net, images, layers="blocks.0")
    assert list(feature_maps(net, images)) == ["embed"]


def swapped_in_place(x):
    """Write to a part of a tensor through a view of it."""
    x[:, :, :3] = x[:, :, 3:].clone()
    return x


@pytest.mark.parametrize(
    ("shuffle", "says"),
    [
        (lambda x: x[:, :, torch.argsort(x[0, 0, :])], "nothing tells"),  # an order that the image decides
        (lambda x: x.softmax(2) @ x.mT.softmax(1), "nothing tells"),
        (lambda x: torch.cat([x, x], 2), "several of its 12 tokens lie at one place"),
        (lambda x: x[:, :, :5], "the places of its 5 tokens are no grid"),
        (lambda x: x.unflatten(2, (2, 3)).flatten(0, 1), "its first axis holds 4 parts of an image"),
        (lambda x: x.mT.reshape(1, 3, 8), "channels lie at different places"),
        (lambda x: x.clone().index_copy_(2, torch.arange(6), x.flip(2)), "nothing tells"),
        (lambda x: swapped_in_place(x.clone()), "nothing tells"),
    ],
)
def test_an_order_that_is_not_known_is_refused(shuffle, says):
    image = torch.rand(1, 3, 4, 6)
    places = Places(image)
    with torch.no_grad(), places:
        output = shuffle(nn.functional.conv2d(image, torch.ones(4, 3, 2, 2), stride=2).flatten(2))
        assert says in grid_of(places, output)


@pytest.mark.parametrize(
    "reorder",
    [
        lambda x: x.flip(2, 3),
        lambda x: x.roll((1, 2), (2, 3)),
        lambda x: x[:, :, [2, 0, 1]][..., [3, 1, 0, 2, 4]],
        lambda x: x.permute(2, 3, 0, 1).flatten(0, 1).permute(1, 0, 2),
        lambda x: torch.stack(x.unbind(1), -1),
        lambda x: x.mT.flatten(2),
        lambda x: torch.cat(
            [torch.zeros(1, 2, 7), x.flatten(2).gather(2, torch.randperm(15).expand(1, 2, 15))], 2
        ),
    ],
)
def test_what_is_reordered_is_put_in_the_image_s_order(reorder):
    image = torch.rand(1, 3, 6, 10)
    places = Places(image)
    with torch.no_grad(), places:
        maps = nn.functional.conv2d(image, torch.randn(2, 3, 2, 2), stride=2)
        output = reorder(maps)
        grid = grid_of(places, output)
    assert isinstance(grid, TokenGrid)
    assert grid.size == (3, 5)
    assert torch.equal(grid.lay(output), maps)
    changed = grid.put(2 * grid.lay(output), output)
    assert changed.shape == output.shape
    torch.testing.assert_close(changed, 2 * output)
    assert grid.left == 7 * (output.shape[-1] == 22)


MOVES = {
    "flip": lambda x: x.flip(2),
    "roll": lambda x: x.roll((1, -2), (2, 3)),
    "rows": lambda x: x[:, :, torch.randperm(x.shape[2])],
    "turn": lambda x: x.mT,
    "channels last and back": lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
    "pad and cut": lambda x: nn.functional.pad(x, (1, 2, 0, 1))[:, :, : x.shape[2], 1 : x.shape[3] + 1],
    "norm": lambda x: nn.functional.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2),
    "halves": lambda x: torch.cat(x.chunk(2, 3)[::-1], 3),
    "attend": lambda x: (
        nn.functional.scaled_dot_product_attention(*[x.flatten(2).mT[None]] * 3)[0].mT.unflatten(
            2, x.shape[2:]
        )
        + x
    ),
}
LAYOUTS = {
    "map": lambda x: x,
    "tokens": lambda x: x.flatten(2).mT,
    "channels last": lambda x: x.permute(0, 2, 3, 1),
    "heads": lambda x: x.flatten(2).unflatten(1, (2, -1)).permute(0, 1, 3, 2),
    "class token": lambda x: torch.cat([torch.zeros(1, 1, x.shape[1]), x.flatten(2).mT], 1),
}


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(2, 5), st.integers(2, 5)),
    st.lists(st.sampled_from(sorted(MOVES)), max_size=5),
    st.sampled_from(sorted(LAYOUTS)),
)
def test_whatever_moves_them_values_are_laid_where_they_came_from(size, moves, layout):
    """The values are the places themselves, row and column, which every move here carries along."""
    height, width = size
    image = torch.rand(1, 3, 2 * height, 2 * width)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    where = torch.stack([rows, columns, rows, columns])[None].float()
    places = Places(image)
    with torch.no_grad(), places:
        marked = nn.functional.conv2d(image, torch.zeros(4, 3, 2, 2), stride=2) + where
        for move in moves:
            torch.manual_seed(0)
            moved = MOVES[move](marked)
            # These change values too, but must not move them.
            marked = marked + 0 * moved if move in ("norm", "attend") else moved
        output = LAYOUTS[layout](marked)
        grid = grid_of(places, output)
    assert isinstance(grid, TokenGrid), grid
    assert torch.equal(grid.lay(output), where)


def test_frames_of_a_video_lie_at_one_place():
    """One frame is a map; several are not, as nothing says which of them to show."""
    for frames, known in ((1, True), (2, False)):
        image = torch.rand(1, 3, 8, 12)
        places = Places(image)
        with torch.no_grad(), places:
            clip = image[:, :, None].expand(-1, -1, frames, -1, -1)
            tokens = nn.functional.conv3d(clip, torch.randn(4, 3, 1, 4, 4), stride=(1, 4, 4)).flatten(2).mT
            grid = grid_of(places, tokens)
        assert (grid.size == (2, 3)) if known else ("several of its 12 tokens lie at one place" in grid)


# Who uses them --------------------------------------------------------------------------------------------


def test_explorers_say_that_tokens_were_laid_out():
    net, images = built("vit")
    saliency, maps = rx.SaliencyExplorer(net, images), rx.FeatureMapExplorer(net, images)
    assert saliency.wait(60)
    said = " ".join(settled(saliency.page, replace(saliency.state, block=1)).conditions)
    assert "What this block of VisionTransformer gives: 24 tokens laid out as a map of 4×6; the first" in said
    assert "Not shown of VisionTransformer: blocks.2, as no gradient of the logits reaches" in said
    maps.update(view="parts", block=2, channel=2)
    assert maps.wait(60)
    assert len(maps.scene.maps) == len(maps.scene.parts) == 3
    assert any("blocks.0: 24 tokens laid out as a map of 4×6" in said for said in maps.page.conditions)
    assert [part.shape for part in maps.page.aside["tiles"]["maps"]] == [(4, 6)] * 3


def test_methods_by_name_take_the_last_block_that_has_a_map():
    net, images = built("vit")
    assert last_with_map(net, images) == "blocks.1"
    assert block_before_last_stage(net) == "blocks.1"
    verdict = rx.judge(net, images, "grad_cam", metrics=["deletion"], draws=1)["deletion"]
    assert 0 <= verdict.value <= 1
    net.head = nn.Sequential(nn.ReLU(), net.head)
    with pytest.raises(rx.ExploreError, match=r"guided_grad_cam takes maps .* as they stand"):
        rx.attribute(net, images, 0, "guided_grad_cam")


class Linears(nn.Module):
    """A ViT that cuts its patches out without a convolution; its blocks return their attention too."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.mlp = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 8)
            self.relu, self.more = nn.ReLU(), nn.Linear(8, 8)

        def forward(self, x):
            mixed, weights = self.attention(x, x, x)
            x = x + mixed
            return x + self.more(self.relu(self.mlp(x))), weights

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Linear(48, 8), nn.Linear(8, 3)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.blocks = nn.ModuleList(self.Block() for _ in range(3))

    def forward(self, x):
        patches = x.unflatten(3, (-1, 4)).unflatten(2, (-1, 4)).permute(0, 2, 4, 1, 3, 5)
        x = self.embed(patches.flatten(3).flatten(1, 2))
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        for block in self.blocks:
            x, _ = block(x)
        return self.head(x[:, 0])


def test_a_vit_without_convolutions_whose_blocks_return_their_attention_too():
    torch.manual_seed(0)
    net, images = Linears().eval(), torch.rand(2, 3, 12, 20)
    assert choose_layers(net).instead == ()
    assert list(rx.class_activation_maps(net, images)) == ["blocks.0[0]", "blocks.1[0]"]
    assert last_with_map(net, images) == block_before_last_stage(net) == "blocks.1"
    by_name = rx.class_activation_maps(net, images, 1, "blocks.1")
    assert by_name["blocks.1[0]"].shape == (2, 3, 5)
    assert "blocks.1[1]" in by_name.omitted
    classes = torch.tensor([0, 1])
    expected = rx.class_activation_maps(net, images, classes, "blocks.1")["blocks.1[0]"]
    torch.testing.assert_close(explainer("grad_cam")(net, images, classes), expected)
    with pytest.raises(rx.ExploreError, match=r"guided_grad_cam takes maps .* as they stand"):
        rx.attribute(net, images, 0, "guided_grad_cam")


def test_the_first_image_s_target_is_asked_for_in_every_form():
    net, images = built("vit")
    for asked in (1, None, [0, 1], torch.tensor([0, 1]), np.array([0, 1]), torch.tensor(1)):
        assert last_with_map(net, images, asked) == "blocks.1"


def test_each_layer_is_left_out_for_a_reason_of_its_own():
    class Apart(nn.Module):
        """No gradient reaches its blocks, and the answer is another's."""

        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 3)
            self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(8, 2, 8, batch_first=True) for _ in "ab")

        def forward(self, x):
            tokens = x = self.embed(x).flatten(2).mT
            for block in self.blocks:
                tokens = block(tokens)
            return self.head(x.mean(1) + 0 * tokens.detach().mean(1))

    torch.manual_seed(0)
    net, images = Apart().eval(), torch.rand(2, 3, 12, 20)
    maps = rx.class_activation_maps(net, images)
    assert list(maps) == ["embed"]
    assert maps.omitted == {f"blocks.{k}": "no gradient of the logits reaches it" for k in (0, 1)}


def test_an_operation_that_a_rule_does_not_fit_leads_nowhere_and_ends_no_pass():
    @torch.library.custom_op("resnet_explore_test::mean", mutates_args=())
    def mean(values: torch.Tensor) -> torch.Tensor:  # by torch's name, but of no `self`
        return values.mean(1)

    image = torch.rand(1, 3, 4, 6)
    with torch.no_grad(), Places(image) as places:
        moved, made = image.flip(3), torch.ops.resnet_explore_test.mean(image)
    torch.testing.assert_close(made, image.mean(1))
    assert places.of(made) is None
    assert places.of(moved) is not None


def test_an_ordinary_network_is_looked_at_in_one_pass():
    net, passes = rx.build("cifar_resnet8"), []
    net.register_forward_hook(lambda *_: passes.append(1))
    images = torch.rand(2, 3, 32, 48)
    for measure in (rx.class_activation_maps, rx.residual_stream, feature_maps):
        passes.clear()
        measure(net, images)
        assert len(passes) == 1, measure
