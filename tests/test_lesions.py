"""Lesion studies: every trial against the whole pass of the edited network, and a forward written by hand."""

import copy
import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from scipy.stats import kendalltau
from torch import nn
from torchvision.models.resnet import BasicBlock
from witnesses import fingerprint, thin_resnet, thin_vgg

import resnet_explore as rx
from resnet_explore.analysis.skips.lesions import kendall_tau, possible_lesions
from resnet_explore.analysis.skips.passes import is_chain
from resnet_explore.analysis.topology.blocks_of import blocks_of

IMAGES = torch.randn(9, 3, 20, 28, generator=torch.Generator().manual_seed(0)).double()
LABELS = torch.arange(9) % 5
TRAINING = torch.randn(8, 3, 20, 28, generator=torch.Generator().manual_seed(1)).double() * 1.5 + 0.3


def lived_in(net):
    """Return a network in double precision and eval mode whose norms have seen something."""
    net = net.double().train()
    with torch.no_grad():
        for _ in range(5):
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
    "torchvision": lambda: thin_resnet(BasicBlock, [2, 2, 2, 2], 5),
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
    net, random = nets["padding"], torch.Generator().manual_seed(2)
    images = torch.randn(400, 3, 5, 8, generator=random).double()
    training = 1.5 * torch.randn(16, 3, 5, 8, generator=random).double() + 0.3
    labels = torch.randint(5, (400,), generator=random)
    before = fingerprint(net)
    study = rx.lesion_study(net, images, labels, what, counts=(1, 2, 3), recalibrate=training)
    assert fingerprint(net) == before
    table = study.table
    assert (table["error"] != table["error_recalibrated"]).any()
    for row in table.to_dict("records"):
        edits = edits_of(net, row)
        numbers = edits.get("order", {})
        order = [f"{stage}.{i}" for stage in ("layer1", "layer2") for i in numbers.get(stage, ())]
        with torch.no_grad():
            expected = scored(by_hand(net, images, training, order, edits.get("delete", ())), labels)
        assert row["error_recalibrated"] == pytest.approx(expected[0]), row


def test_whole_passes_recalibrate_too(nets):
    net = nets["no chain"]
    study = rx.lesion_study(net, IMAGES, LABELS, counts=(1,), recalibrate=TRAINING)
    for name, found in zip(study.table["blocks"], study.table["error_recalibrated"], strict=True):
        twin = copy.deepcopy(net)
        last = int(name[-1])
        with torch.no_grad(), rx.edited(twin, delete=name, input_size=(3, 20, 28)):
            for block in twin.blocks[last + 1 :]:
                block.norm.reset_running_stats()
                block.norm.momentum = None
                block.norm.train()
            twin(TRAINING.clone())
            twin.eval()
            assert found == pytest.approx(scored(twin(IMAGES.clone()))[0])


def test_where_blocks_are_a_chain_passes_start_inside(nets):
    for name, net in nets.items():
        blocks = blocks_of(net, (3, 20, 28))
        with torch.no_grad():
            assert is_chain(net, blocks, IMAGES[:1]) == (name != "no chain"), name


def test_each_block_runs_once_more_than_it_must(nets):
    """Of n deletions one by one the blocks before are passed over: n (n + 1) / 2 calls, not n^2."""
    net, calls = nets["padding"], []
    handles = [
        net.get_submodule(block.name).conv2.register_forward_hook(
            lambda *_, name=block.name: calls.append(name)
        )
        for block in blocks_of(net, (3, 20, 28))
    ]
    found = rx.lesion_study(net, IMAGES, LABELS, counts=(1,))
    rounds, calls[:] = len(calls), []
    rx.lesion_study(net, IMAGES, LABELS, counts=(1,), known=found.table)
    for handle in handles:
        handle.remove()
    deletions, advancing = 15, 4
    assert rounds - len(calls) == deletions + advancing


# --- which trials ------------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(
    counts=st.lists(st.integers(1, 7), min_size=1, max_size=3, unique=True).filter(lambda n: min(n) < 5),
    seeds=st.lists(st.integers(0, 2**32), min_size=1, max_size=3, unique=True),
)
def test_deletions_are_drawn_from_what_can_be_deleted(nets, counts, seeds):
    net = nets["plain"]
    study = rx.lesion_study(net, IMAGES[:2], LABELS[:2], counts=counts, seeds=seeds)
    able = {"layer1.0", "layer1.1", "layer1.2", "layer2.1"}
    expected = []
    for count in counts:
        if count == 1:
            expected += [(1, 0)] * 5
        elif count <= len(able):
            expected += [(count, seed) for seed in seeds]
    assert list(zip(study.table["count"], study.table["seed"], strict=True)) == expected
    for row in study.table.to_dict("records"):
        names = row["blocks"].split()
        assert len(set(names)) == row["count"]
        assert math.isnan(row["error"]) == (not set(names) <= able)
    again = rx.lesion_study(net, IMAGES[:2], LABELS[:2], counts=counts, seeds=seeds)
    pd.testing.assert_frame_equal(study.table, again.table)


@settings(deadline=None)
@given(order=st.integers(2, 12).flatmap(lambda n: st.permutations(range(n))))
def test_tau_is_that_of_kendall(order):
    assert kendall_tau(order) == pytest.approx(kendalltau(range(len(order)), order).statistic)
    assert kendall_tau(sorted(order)) == 1
    assert kendall_tau(sorted(order, reverse=True)) == -1


def test_shuffles_keep_to_stages_and_shapes(nets):
    study = rx.lesion_study(nets["padding"], IMAGES[:2], LABELS[:2], "shuffle", counts=(1, 5), seeds=range(6))
    names = [f"layer1.{i}" for i in range(3)]
    for row in study.table.to_dict("records"):
        moved = row["blocks"].split()
        assert set(moved) <= set(names), "layer2's two blocks differ in shape"
        there = iter(moved)
        now = [next(there) if name in moved else name for name in names]
        order = [*(names.index(name) for name in now), 3, 4]
        assert row["tau"] == pytest.approx(kendalltau(range(5), order).statistic)
        if row["count"] == 1:
            assert len(moved) == 2
        if not moved:
            assert (row["error"], row["loss"]) == tuple(study.unedited.values())


def test_what_is_asked_of_a_network_that_gives_no_numbers_is_wrong_everywhere(nets):
    net = copy.deepcopy(nets["padding"])
    with torch.no_grad():
        net.layer1[0].conv2.weight.fill_(float("inf"))
    found = rx.lesion_study(net, IMAGES, LABELS, counts=(1,)).table
    whole = dict(zip(found["blocks"], found["error"], strict=True))
    assert whole["layer1.0"] < 100
    assert whole["layer1.1"] == 100


# --- stopped and gone on with ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "error"),
    [("padding", RuntimeError), ("foreign", KeyboardInterrupt), ("no chain", KeyboardInterrupt)],
)
def test_a_study_that_is_stopped_is_gone_on_with(nets, name, error):
    net = nets[name]
    asked = {"counts": (1, 2), "seeds": (0, 1), "recalibrate": TRAINING}
    images, labels = IMAGES[:4], LABELS[:4]
    whole = rx.lesion_study(net, images, labels, **asked).table
    rows, told = [], []

    def stop(done, total, row):
        assert total == len(whole)
        rows.append(row)
        if done == 4:
            raise error

    before = fingerprint(net)
    with pytest.raises(error):
        rx.lesion_study(net, images, labels, **asked, progress=stop)
    assert fingerprint(net) == before
    again = rx.lesion_study(
        net,
        images,
        labels,
        **asked,
        known=pd.DataFrame(rows),
        progress=lambda done, _, row: told.append((done, row)),
    )
    pd.testing.assert_frame_equal(again.table, whole)
    assert [done for done, _ in told] == list(range(5, len(whole) + 1))
    assert not {row["blocks"] for row in rows} & {row["blocks"] for _, row in told}


def test_a_table_from_a_file_is_known(nets, tmp_path):
    asked = {"what": "branch", "factors": (0, 0.125, 1)}
    table = rx.lesion_study(nets["padding"], IMAGES, LABELS, **asked).table
    table.to_csv(tmp_path / "table.csv", index=False)
    known, told = pd.read_csv(tmp_path / "table.csv"), []
    again = rx.lesion_study(nets["padding"], IMAGES, LABELS, **asked, known=known, progress=told.append)
    pd.testing.assert_frame_equal(again.table, table, check_dtype=False)
    assert not told


def test_trials_are_done_again_for_what_they_lack(nets):
    asked = {"counts": (1,)}
    raw = rx.lesion_study(nets["plain"], IMAGES, LABELS, **asked).table
    more = rx.lesion_study(nets["plain"], IMAGES, LABELS, **asked, recalibrate=TRAINING, known=raw).table
    assert list(more["error_recalibrated"].notna()) == list(raw["error"].notna())


# --- what it says ------------------------------------------------------------------------------------------


def test_it_says_what_was_found_on_a_line(nets):
    study = rx.lesion_study(nets["plain"], IMAGES, LABELS, counts=(1, 2))
    one = study.table.loc[study.table["count"] == 1, "error"]
    text = str(study)
    assert f"error {study.unedited['error']:.1f} % as it is" in text
    assert f"1 gone: {one.mean():.1f} (at most {one.max():.1f})" in text
    assert "table=DataFrame (8, 9)" in repr(study)


def test_what_can_be_done_to_a_network(nets):
    assert possible_lesions(nets["padding"]) == ("delete", "shuffle", "skip", "branch")
    assert possible_lesions(nets["plain"]) == ("delete", "shuffle", "branch")
    assert possible_lesions(small((1, 1))) == ("delete", "skip", "branch")


REFUSED = [
    ("padding", {"what": "delet"}, "Unknown lesion 'delet': did you mean 'delete'"),
    ("padding", {"counts": (0,)}, r"counts must be whole numbers of at least 1, such as \(1, 2\), not \(0,"),
    ("padding", {"counts": 2}, "counts must be whole numbers of at least 1, .* not the single 2"),
    ("padding", {"counts": (6, 100)}, r"counts must hold a number up to 5: no more .* got \(6, 100\)"),
    ("padding", {"seeds": 3}, "seeds must be whole numbers of at least 0, .* not the single 3"),
    ("padding", {"counts": (True,)}, "counts must be whole numbers"),
    ("padding", {"counts": ()}, "counts must be whole numbers"),
    ("padding", {"seeds": (-1,)}, "seeds must be whole numbers of at least 0"),
    ("padding", {"seeds": "012"}, "seeds must be whole numbers of at least 0, .* not '012'"),
    ("padding", {"factors": (float("nan"),)}, "factors must be finite numbers"),
    ("padding", {"recalibrate": TRAINING[:1]}, r"at least 2 images of shape \(3, 20, 28\), not \(1, 3, 20"),
    ("padding", {"recalibrate": TRAINING[..., 1:]}, "recalibrate must be at least 2 images"),
    ("padding", {"recalibrate": 3}, "images must be a float tensor"),
    ("padding", {"known": pd.DataFrame({"error": [1.0]})}, "known must be the table of a lesion study"),
    ("padding", {"known": 3}, "known must be the table of a lesion study, not an int"),
    ("padding", {"labels": [7] * 9}, "labels must lie in 0..4"),
    ("padding", {"labels": [1]}, "labels must be 9 whole numbers"),
    ("padding", {"images": IMAGES[0]}, "for a single image pass"),
    ("plain", {"what": "skip"}, "has no skips, so there is none to scale"),
]


@pytest.mark.parametrize("kind", [set, iter, pd.Series, np.array])
def test_counts_and_seeds_are_any_numbers_that_can_be_gone_through(nets, kind):
    def table(kind):
        return rx.lesion_study(
            nets["padding"], IMAGES, LABELS, counts=kind([1, 2, 100]), seeds=kind([0, 1])
        ).table

    pd.testing.assert_frame_equal(table(kind), table(list))


@pytest.mark.parametrize(("name", "asked", "sentence"), REFUSED, ids=[str(a)[:30] for _, a, _ in REFUSED])
def test_what_cannot_be_studied_is_said_and_changes_nothing(nets, name, asked, sentence):
    net = nets[name]
    before = fingerprint(net)
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.lesion_study(**{"model": net, "images": IMAGES, "labels": LABELS, **asked})
    assert fingerprint(net) == before


@pytest.mark.parametrize(
    ("make", "what", "sentence"),
    [
        (thin_vgg, "delete", "a VGG, has no blocks"),
        (lambda: small((1, 1)), "shuffle", "has no two blocks of a stage whose shapes agree"),
    ],
    ids=["vgg", "one block a stage"],
)
def test_networks_without_what_it_takes(make, what, sentence):
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.lesion_study(make(), torch.zeros(2, 3, 32, 32), [0, 1], what)
