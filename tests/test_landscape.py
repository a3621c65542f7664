"""The loss over a plane: filter normalisation and grids by hand, what is left as found, kept and refused."""

import copy
import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.landscape.directions import plane_of_training, random_directions
from resnet_explore.analysis.landscape.plane import Landscape
from resnet_explore.errors import CancelledError


def small(seed=0, norm=True, drop=0.5):
    """Convolutions, one in groups, batch norm, dropout, a linear layer; for images of any size."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4) if norm else nn.Identity(),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 2, groups=2),
        nn.Dropout(drop),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )
    with torch.no_grad():
        net.train()(torch.randn(20, 1, 6, 9))
    return net


def batch(count=7, shape=(6, 9), seed=1):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(count, 1, *shape, generator=random), torch.arange(count) % 3


def by_hand(net, images, labels, mode="eval", along=None, x=0.0, across=None, y=0.0):
    """Set the weights of a copy, run it, and return loss and error."""
    moved = copy.deepcopy(net).eval()
    for module in moved.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train(mode == "train")
    with torch.no_grad():
        for name, parameter in moved.named_parameters():
            parameter += y * across[name] if across and name in across else 0
            parameter += x * along[name] if along and name in along else 0
        logits = moved(images)
    loss = F.cross_entropy(logits.double(), labels).item()
    return loss, 100 * (logits.argmax(1) != labels).double().mean().item()


# --- random planes -----------------------------------------------------------------------------------------


def test_each_filter_of_a_direction_is_as_long_as_that_of_the_network():
    net = small()
    weights = dict(net.named_parameters())
    for direction in random_directions(net, 3):
        assert list(direction) == ["0.weight", "3.weight", "7.weight"]
        for name, moved in direction.items():
            for one, other in zip(moved, weights[name], strict=True):
                assert one.norm().item() == pytest.approx(other.norm().item(), rel=1e-5)
    first, second = random_directions(net, 3)
    cosine = F.cosine_similarity(first["3.weight"].flatten(), second["3.weight"].flatten(), dim=0)
    assert abs(cosine) < 0.5


def test_a_direction_is_what_was_drawn_filter_by_filter():
    net = small()
    random = torch.Generator().manual_seed(5)
    for direction in random_directions(net, 5):
        for name, moved in direction.items():
            weight = net.get_parameter(name)
            drawn = torch.randn(weight.shape, generator=random)
            for i in range(len(weight)):
                expected = drawn[i] / drawn[i].norm() * weight[i].norm()
                torch.testing.assert_close(moved[i], expected)


@settings(max_examples=8, deadline=None)
@given(
    st.tuples(st.integers(4, 9), st.integers(4, 9)), st.sampled_from(["eval", "train"]), st.integers(0, 99)
)
def test_every_point_is_what_one_gets_by_setting_the_weights(shape, mode, seed):
    net, (images, labels) = small(seed % 3), batch(shape=shape)
    found = rx.loss_landscape(net, images, labels, 3, 0.7, seed, mode=mode)
    along, across = random_directions(net, seed)
    for row, y in enumerate((-0.7, 0, 0.7)):
        for column, x in enumerate((-0.7, 0, 0.7)):
            loss, error = by_hand(net, images, labels, mode, along, x, across, y)
            assert found.loss[row, column] == pytest.approx(loss, rel=1e-5)
            assert found.error[row, column] == pytest.approx(error)
    np.testing.assert_allclose(found.x, [-0.7, 0, 0.7])
    np.testing.assert_array_equal(found.x, found.y)
    assert (found.plane, found.mode, found.images) == (f"random, seed {seed}", mode, 7)
    assert found.trajectory is None
    assert found.share is None


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_network_itself_is_the_point_in_the_middle(mode):
    net, (images, labels) = small(), batch()
    found = rx.loss_landscape(net, images, labels, 5, 0.3, mode=mode)
    loss, error = by_hand(net, images, labels, mode)
    assert found.loss[2, 2] == found.here == loss
    assert found.error[2, 2] == found.error_here == pytest.approx(error)
    assert found.x[2] == found.y[2] == 0


def test_batches_change_nothing_in_eval_mode():
    net, (images, labels) = small(), batch()
    whole = rx.loss_landscape(net, images, labels, 3)
    parts = rx.loss_landscape(net, images, labels, 3, batch_size=2)
    np.testing.assert_allclose(parts.loss, whole.loss, rtol=1e-5)


def test_rescaled_filters_before_batch_norm_change_nothing():
    """Which is what filter normalisation is for: by steps of equal length the surface would look flatter."""
    net, (images, labels) = small(), batch()
    larger = copy.deepcopy(net)
    with torch.no_grad():
        larger[0].weight *= 8
        larger[0].bias *= 8
    for mode in ("train", "eval"):
        if mode == "eval":
            larger[1].running_mean *= 8
            larger[1].running_var.mul_(64)
        found = [rx.loss_landscape(one, images, labels, 3, mode=mode).loss for one in (net, larger)]
        np.testing.assert_allclose(*found, rtol=1e-3)


def test_a_seed_says_which_plane_and_twins_share_it():
    twins, (images, labels) = rx.twins("cifar_resnet8", in_channels=1, widths=(4, 8, 8)), batch(shape=(8, 6))
    planes = [random_directions(net, 2)[0] for net in (twins.plain, twins.residual)]
    assert list(planes[0]) == list(planes[1])
    a, b = (rx.loss_landscape(twins.residual, images, labels, 3, seed=seed).loss for seed in (2, 2))
    np.testing.assert_array_equal(a, b)
    assert (rx.loss_landscape(twins.residual, images, labels, 3, seed=3).loss[0] != a[0]).all()


class Steep(nn.Module):
    """Gives infinity and NaN where its weight is changed much."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((2, 4), 0.1))

    def forward(self, images):
        out = images.flatten(1)[:, :4] @ self.weight.T
        return torch.where(out.abs() > 0.5, out * float("inf"), out) * 100


def test_what_is_not_finite_is_kept():
    net, (images, _) = Steep(), batch(shape=(2, 2))
    images = images.sign()
    found = rx.loss_landscape(net, images, torch.zeros(7, dtype=torch.long), 5, 3.0)
    assert np.isfinite(found.here)
    assert not np.isfinite(found.loss).all()
    assert found.beyond[~np.isfinite(found.loss)].all()
    assert not found.beyond[2, 2]
    assert np.isfinite(found.error).all()
    assert "no number" in str(found)


# --- towards another network -------------------------------------------------------------------------------


def test_between_two_networks_the_other_one_is_at_1():
    net, other, (images, labels) = small(0), small(1), batch()
    other[1].weight.data += 0.5
    with pytest.raises(rx.ExploreError, match='towards needs mode="train"'):
        rx.loss_landscape(net, images, labels, 3, towards=other)
    found = rx.loss_landscape(net, images, labels, 5, towards=other, mode="train", seed=4)
    middle = found.loss[2]
    assert found.plane == "between"
    assert middle[2] == by_hand(net, images, labels, "train")[0]
    assert middle[4] == pytest.approx(by_hand(other, images, labels, "train")[0], rel=1e-4)
    along = {n: other.get_parameter(n).detach() - p.detach() for n, p in net.named_parameters()}
    (across,) = random_directions(net, 4, 1)
    expected = by_hand(net, images, labels, "train", along, 0.5, across, -1.0)[0]
    assert found.loss[0, 3] == pytest.approx(expected, rel=1e-4)


def test_without_batch_norm_the_way_to_another_is_open_in_eval_mode():
    net, other, (images, labels) = small(0, norm=False), small(1, norm=False), batch()
    found = rx.loss_landscape(net, images, labels, 3, towards=other)
    assert found.loss[1, 2] == pytest.approx(by_hand(other, images, labels)[0], rel=1e-4)


# --- along a training --------------------------------------------------------------------------------------


def walked(net, steps=6):
    """Snapshots on a crooked way to where the network is, biases and all."""
    random = torch.Generator().manual_seed(8)
    ways = [{n: torch.randn(p.shape, generator=random) for n, p in net.named_parameters()} for _ in range(3)]
    snapshots = []
    for i in range(steps):
        left = (steps - 1 - i) / steps
        state = {name: value.clone() for name, value in net.state_dict().items()}
        for name in ways[0]:
            state[name] += left * ways[0][name] + left**2 * ways[1][name] + 0.1 * left**3 * ways[2][name]
        snapshots.append(state)
    return snapshots


def lost():
    """A network whose training diverged."""
    net = small(1)
    with torch.no_grad():
        net[0].weight[1] = float("inf")
    return net


def test_the_plane_of_a_training_holds_its_principal_components():
    net, (images, labels) = small(), batch()
    snapshots = walked(net)
    names = [name for name, p in net.named_parameters() if p.ndim > 1]
    steps = np.array(
        [
            torch.cat([(s[n] - net.state_dict()[n]).flatten() for n in names]).double().numpy()
            for s in snapshots
        ]
    )
    found = rx.loss_landscape(net, images, labels, 5, trajectory=snapshots, mode="train")
    _, sizes, axes = np.linalg.svd(steps - steps.mean(0), full_matrices=False)
    signs = np.sign(axes[:2] @ steps[0])
    np.testing.assert_allclose(found.trajectory, steps @ (axes[:2].T * signs), atol=1e-4)
    assert found.share == pytest.approx((sizes[:2] ** 2).sum() / (sizes**2).sum(), rel=1e-4)
    assert found.share > 0.99
    np.testing.assert_allclose(found.trajectory[-1], 0, atol=1e-5)
    assert found.plane == "training"
    assert found.loss[2, 2] == by_hand(net, images, labels, "train")[0]

    farthest = np.abs(found.trajectory).max(0)
    assert (farthest < (found.x.max(), found.y.max())).all()
    plane = plane_of_training(net, snapshots)
    expected = by_hand(net, images, labels, "train", plane.along, found.x[4], plane.across, found.y[1])[0]
    assert found.loss[1, 4] == pytest.approx(expected, rel=1e-4)
    for axis in (plane.along, plane.across):
        assert list(axis) == names
        assert torch.cat([v.flatten() for v in axis.values()]).norm().item() == pytest.approx(1, rel=1e-4)


# --- left as found -----------------------------------------------------------------------------------------


class Fuse(nn.Module):
    """Blows at a pass."""

    def __init__(self, net, at):
        super().__init__()
        self.net, self.left = net, at

    def forward(self, images):
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("out of luck")
        return self.net(images)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("end", ["whole", "cancelled", "raised"])
def test_a_model_is_left_as_found(mode, end):
    net, (images, labels) = small(), batch()
    net[0].weight.grad = torch.ones_like(net[0].weight)
    net[3].weight.requires_grad_(False)
    net.train()
    storage = [p.data_ptr() for p in net.parameters()]
    before, asked = fingerprint(net), iter(range(100))
    torch.manual_seed(3)
    if end == "whole":
        rx.loss_landscape(net, images, labels, 3, mode=mode)
    elif end == "cancelled":
        with pytest.raises(CancelledError, match="Stopped after 1 of 3 rows"):
            rx.loss_landscape(net, images, labels, 3, mode=mode, cancel=lambda: next(asked) >= 4)
    else:
        with pytest.raises(rx.ExploreError, match="out of luck"):
            rx.loss_landscape(Fuse(net, 5), images, labels, 3, mode=mode)
    assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(3))
    assert fingerprint(net) == before
    assert [p.data_ptr() for p in net.parameters()] == storage


def test_a_tied_weight_is_moved_once():
    net, (images, labels) = small(), batch()
    net.add_module("8", nn.Linear(3, 3))
    net.add_module("9", nn.Linear(3, 3))
    net[9].weight = net[8].weight
    found = rx.loss_landscape(net, images, labels, 3, 0.5)
    along, across = random_directions(net, 0)
    assert "9.weight" not in along
    expected = by_hand(net, images, labels, "eval", along, 0.5, across, 0.5)[0]
    assert found.loss[2, 2] == pytest.approx(expected, rel=1e-5)


# --- kept in a file ----------------------------------------------------------------------------------------


def test_what_was_stopped_goes_on_with_equal_results(tmp_path):
    net, (images, labels) = small(), batch()
    path, told, points = tmp_path / "deep" / "plane.npz", [], iter(range(1000))
    whole = rx.loss_landscape(net, images, labels, 5, progress=lambda *row: told.append(row))
    assert told == [(i, 5) for i in range(1, 6)]
    with pytest.raises(CancelledError, match="Stopped after 2 of 5 rows"):
        rx.loss_landscape(net, images, labels, 5, path=path, cancel=lambda: next(points) >= 12)
    told.clear()
    again = rx.loss_landscape(net, images, labels, 5, path=path, progress=lambda *row: told.append(row))
    assert told == [(i, 5) for i in range(3, 6)]
    np.testing.assert_array_equal(again.loss, whole.loss)
    np.testing.assert_array_equal(again.error, whole.error)
    told.clear()
    ready = rx.loss_landscape(net, images, labels, 5, path=path, progress=lambda *row: told.append(row))
    np.testing.assert_array_equal(ready.loss, whole.loss)
    assert told == []
    assert [file.name for file in path.parent.iterdir()] == ["plane.npz"]


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"span": 0.5}, {"size": 5}, {"mode": "train"}, {"images": batch(seed=2)[0]}]
)
def test_the_file_of_another_plane_is_refused(tmp_path, change):
    net, (images, labels) = small(), batch()
    asked = {"model": net, "images": images, "labels": labels, "size": 3, "path": tmp_path / "plane.npz"}
    rx.loss_landscape(**asked)
    kept = asked["path"].read_bytes()
    with pytest.raises(rx.ExploreError, match="holds another landscape"):
        rx.loss_landscape(**{**asked, **change})
    assert asked["path"].read_bytes() == kept
    with torch.no_grad():
        net[7].weight += 0.01
    with pytest.raises(rx.ExploreError, match="holds another landscape"):
        rx.loss_landscape(**asked)


def array_file():
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize("junk", [b"", b"PK\x03\x04 nothing", b"words", array_file()])
def test_a_file_of_something_else_is_refused(tmp_path, junk):
    path = tmp_path / "plane.npz"
    path.write_bytes(junk)
    with pytest.raises(rx.ExploreError, match="holds no landscape"):
        rx.loss_landscape(small(), *batch(), 3, path=path)
    assert path.read_bytes() == junk


def test_a_place_that_takes_no_file_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(rx.ExploreError, match="can't be written to"):
        rx.loss_landscape(small(), *batch(), 3, path=tmp_path / "file" / "plane.npz")
    with pytest.raises(rx.ExploreError, match="holds no landscape"):
        rx.loss_landscape(small(), *batch(), 3, path=tmp_path)


# --- refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size": 4}, "size must be odd"),
        ({"size": 1}, "size must be a whole number of at least 3"),
        ({"size": 5.0}, "size must be a whole number"),
        ({"span": 0}, "span must be a finite number above 0"),
        ({"span": float("nan")}, "span must be a finite number above 0"),
        ({"span": float("inf")}, "span must be a finite number above 0"),
        ({"span": "1"}, "span must be a finite number above 0"),
        ({"span": 1e300}, "span must be small enough"),
        ({"path": 3}, "path must be the name of a file, not 3"),
        (
            {"trajectory": [*walked(small()), lost().state_dict()]},
            r"trajectory\[6\] holds .* not finite, in 0",
        ),
        ({"trajectory": walked(small()), "model": lost()}, "The model holds weights that are not finite"),
        ({"towards": lost()}, "towards holds weights that are not finite, in 0.weight"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"mode": "test"}, "Unknown mode 'test'"),
        ({"batch_size": 0}, "batch_size must be a whole number"),
        ({"labels": [0] * 6}, "labels must be 7 whole numbers"),
        ({"labels": [3] * 7}, "labels must lie in 0..2"),
        ({"images": torch.zeros(7, 6, 9)}, "images must have shape"),
        ({"images": torch.zeros(7, 2, 6, 9)}, "can't take images"),
        ({"model": nn.Flatten()}, "no convolution or linear layer"),
        ({"model": "cifar_resnet8"}, "must be a torch.nn.Module"),
        ({"towards": small()}, "same weights"),
        ({"towards": "other"}, "must be a torch.nn.Module"),
        ({"towards": nn.Linear(3, 3)}, r"0.weight, \(4, 1, 3, 3\) here, is missing there"),
        ({"towards": nn.Sequential(*small(1), nn.Linear(3, 3))}, "has 8.weight, which is not here"),
        ({"trajectory": [small(1).state_dict()] * 2}, "at least 3 state_dicts of the model, not a list of 2"),
        ({"trajectory": [small(1).state_dict()] * 4}, "on one line or all agree"),
        ({"trajectory": [{}, {}, {}]}, "missing there"),
        ({"trajectory": 3}, "not an int"),
        ({"trajectory": "last"}, "not a str"),
        ({"trajectory": [1, 2, 3, 4]}, "not a list of 4 that holds an int"),
        ({"trajectory": walked(small()), "mode": "eval"}, 'trajectory needs mode="train"'),
        ({"trajectory": walked(small()), "towards": small(1)}, "Choose towards or trajectory"),
        ({"mode": "train", "batch_size": 1}, "at least 2 images at a time"),
    ],
)
def test_mistakes_are_one_sentence_and_change_nothing(change, sentence, tmp_path):
    net, (images, labels) = small(), batch()
    before = fingerprint(net)
    mode = "train" if {"towards", "trajectory"} & set(change) else "eval"
    asked = {"model": net, "images": images, "labels": labels, "size": 3, "mode": mode}
    with pytest.raises(rx.ExploreError, match=sentence) as caught:
        rx.loss_landscape(**{**asked, "path": tmp_path / "plane.npz", **change})
    assert "\n" not in str(caught.value)
    assert fingerprint(net) == before
    assert not list(tmp_path.iterdir())


# --- what a landscape says of itself ------------------------------------------------------------------------


def surface(loss):
    loss = np.asarray(loss, dtype=float)
    rows, columns = loss.shape
    x, y = np.linspace(-1, 1, columns), np.linspace(-1, 1, rows)
    return Landscape(loss, np.zeros_like(loss), x, y, "random, seed 0", "eval", 10)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 1.0, 2.0, 150.0, float("nan"), float("inf")]), min_size=25, max_size=25)
)
def test_shares_and_minima_are_counted(values):
    found = surface(np.reshape(values, (5, 5)))
    lower = []
    for i in range(5):
        for j in range(5):
            around = [
                found.loss[p, q]
                for p in range(max(i - 1, 0), min(i + 2, 5))
                for q in range(max(j - 1, 0), min(j + 2, 5))
                if (p, q) != (i, j)
            ]
            if np.isfinite(found.loss[i, j]) and not any(v <= found.loss[i, j] for v in around):
                lower.append([i, j])
    assert found.minima == len(lower)
    assert found.minima_at.tolist() == lower
    assert found.under(1) == sum(v <= 1 for v in values) / 25
    assert found.inside == sum(v <= 2 * values[12] for v in values) / 25
    assert found.beyond.sum() == sum(not v <= 100 for v in values)
    assert str(found)
    assert "5×5 points" in repr(found)
