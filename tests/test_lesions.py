"""Lesion studies: every trial against the whole pass of the edited network, and a forward written by hand."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx

IMAGES = torch.randn(9, 3, 20, 28, generator=torch.Generator().manual_seed(0)).double()
LABELS = torch.arange(9) % 5
TRAINING = torch.randn(8, 3, 20, 28, generator=torch.Generator().manual_seed(1)).double() * 1.5 + 0.3


def lived_in(net):
    """Return a network in double precision and eval mode whose norms have seen something."""
    net = net.double().train()
    with torch.no_grad():
        for _ in range(20):
            net(TRAINING)
    return net.eval()


def small(depths=(3, 2), **changes):
    config = rx.ResNetConfig("basic", depths, (8, 16)[: len(depths)], "cifar", num_classes=5, **changes)
    return rx.build(config, seed=0)


class Foreign(nn.Module):
    """A block that overwrites what it gets."""

    def __init__(self, stride=1):
        super().__init__()
        self.first, self.norm = nn.Conv2d(6, 6, 3, stride, 1), nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.across = nn.Conv2d(6, 6, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        x.mul_(0.9)
        return self.across(x) + self.second(F.relu_(self.norm(self.first(x))))


def foreign():
    blocks = nn.ModuleList([Foreign(), Foreign(2), Foreign(), Foreign()])

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.blocks, self.between = nn.Conv2d(3, 6, 3), blocks, nn.BatchNorm2d(6)
            self.fc = nn.Linear(6, 5)

        def forward(self, x):
            x = self.stem(x)
            for block in self.blocks:
                x = self.between(block(x))
            return {"logits": self.fc(x.mean((2, 3)))}

    torch.manual_seed(0)
    return Net()


class Jumping(nn.Module):
    """A network whose blocks are no chain: what comes before the second is added behind the third."""

    def __init__(self):
        super().__init__()
        self.stem, self.blocks = nn.Conv2d(3, 6, 3), nn.Sequential(Foreign(), Foreign(), Foreign())
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        first = self.blocks[0](self.stem(x))
        kept = first.clone()
        return self.fc((self.blocks[2](self.blocks[1](first)) + kept).mean((2, 3)))


NETS = {
    "padding": lambda: small(shortcut="padding"),
    "projection": lambda: small(shortcut="projection", skip_scale=0.8),
    "pre-activation": lambda: small(order="pre"),
    "plain": lambda: small(residual=False),
    "torchvision": lambda: torchvision.models.resnet18(num_classes=5),
    "foreign": foreign,
    "no chain": Jumping,
}


@pytest.fixture(scope="module")
def nets():
    torch.manual_seed(0)
    return {name: lived_in(make()) for name, make in NETS.items()}


def logits_of(net, images=IMAGES):
    with torch.no_grad():
        output = net(images.clone())
    return output["logits"] if isinstance(output, dict) else output


def scored(logits, labels=LABELS):
    error = 100 * (logits.argmax(1) != labels).double().mean().item()
    return error, F.cross_entropy(logits, labels).item()


def edits_of(net, row):
    """Return what a row of the table says was done, as `edited` takes it."""
    if row["what"] == "delete":
        return {"delete": row["blocks"].split()}
    if row["what"] in ("skip", "branch"):
        return {row["what"]: {row["blocks"]: row["factor"]}}
    blocks = rx.structure(net, IMAGES.shape[1:]).blocks
    names, moved = [block.name for block in blocks], row["blocks"].split()
    there = iter(moved)
    now = [next(there) if name in moved else name for name in names]
    order = {}
    for stage in {block.stage for block in blocks}:
        mine = [block.name for block in blocks if block.stage == stage]
        order[stage] = [mine.index(name) for name in now if name in mine]
    return {"order": order}


@pytest.mark.parametrize("what", ["delete", "shuffle", "skip", "branch"])
@pytest.mark.parametrize("name", NETS)
def test_every_trial_is_the_edited_network_run_whole(nets, name, what):
    net = nets[name]
    if (name, what) == ("plain", "skip"):
        return
    before = fingerprint(net)
    study = rx.lesion_study(net, IMAGES, LABELS, what, counts=(1, 2, 3), factors=(0, 0.5, 1, 1.5))
    assert fingerprint(net) == before
    assert (study.unedited["error"], study.unedited["loss"]) == pytest.approx(scored(logits_of(net)))
    assert len(study.table)
    for row in study.table.to_dict("records"):
        if math.isnan(row["error"]):
            with (
                pytest.raises(rx.ExploreError, match="can't be deleted"),
                rx.edited(net, **edits_of(net, row)),
            ):
                pass
            continue
        with rx.edited(net, input_size=tuple(IMAGES.shape[1:]), **edits_of(net, row)):
            expected = scored(logits_of(net))
        assert (row["error"], row["loss"]) == pytest.approx(expected, rel=1e-9), row
    assert study.table["error_recalibrated"].isna().all()


# --- batch norm taken anew, by hand ------------------------------------------------------------------------


def by_hand(net, images, training, order, deleted):
    """Return logits of a net with padding; norms behind the first edit are those of `training`."""
    stale = False

    def normed(norm, x, seen):
        if not stale:
            own = (norm.running_mean, norm.running_var)
            return tuple(F.batch_norm(y, *own, norm.weight, norm.bias, eps=norm.eps) for y in (x, seen))
        mean = seen.mean((0, 2, 3))
        exact, unbiased = (seen.var((0, 2, 3), correction=c) for c in (0, 1))
        weights = (norm.weight, norm.bias)
        return (
            F.batch_norm(x, mean, unbiased, *weights, eps=norm.eps),
            F.batch_norm(seen, mean, exact, *weights, eps=norm.eps),
        )

    def both(function, pair):
        return tuple(function(x) for x in pair)

    pair = both(F.relu, normed(net.bn1, *both(net.conv1, (images, training))))
    usual = [name for name, _ in net.named_modules() if name.count(".") == 1 and name.startswith("layer")]
    usual = [name for name in usual if hasattr(net.get_submodule(name), "conv1")]
    for place, name in enumerate(order or usual):
        block = net.get_submodule(name)
        stale = stale or name != usual[place]
        if name not in deleted:
            out = both(F.relu, normed(block.bn1, *both(block.conv1, pair)))
            out = normed(block.bn2, *both(block.conv2, out))
        skip = pair if block.downsample is None else both(block.downsample, pair)
        pair = skip if name in deleted else tuple(a + b for a, b in zip(skip, out, strict=True))
        pair = both(F.relu, pair)
        stale = stale or name in deleted
    return net.fc(pair[0].mean((2, 3)))


@pytest.mark.parametrize("what", ["delete", "shuffle"])
def test_norms_behind_the_first_edit_are_taken_anew(nets, what):
    net = copy.deepcopy(nets["padding"])
    labels = torch.randint(5, (9,), generator=torch.Generator().manual_seed(2))
    before = fingerprint(net)
    study = rx.lesion_study(net, IMAGES, labels, what, counts=(1, 2, 3), recalibrate=TRAINING)
    assert fingerprint(net) == before
    for row in study.table.to_dict("records"):
        edits = edits_of(net, row)
        order = [f"{s}.{i}" for s in ("layer1", "layer2") for i in edits.get("order", {}).get(s, ())]
        with torch.no_grad():
            expected = scored(by_hand(net, IMAGES, TRAINING, order, edits.get("delete", ())), labels)
        assert row["error_recalibrated"] == pytest.approx(expected[0])
        assert row["error"] == pytest.approx(scored(by_hand_raw(net, edits), labels)[0])


def by_hand_raw(net, edits):
    with rx.edited(net, **edits):
        return logits_of(net)
