"""Recorded similarities: that they are what is measured, and that they say what the notebook says."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis import similarity_record as recorded


@pytest.fixture(scope="module")
def digits():
    return rx.load_similarities("digits")


def column(record, name):
    """A column of the table, {(kind, depth): values of all seeds}."""
    return {
        (kind, depth): record.over_seeds(kind, name)[k]
        for kind in recorded.KINDS
        for k, depth in enumerate(record.depths)
    }


# --- what is measured ---------------------------------------------------------------------------------------


def test_a_record_holds_what_is_measured():
    record = rx.load_similarities("digits")
    twins = rx.twins("cifar_resnet20", weights="digits")
    images = rx.load_dataset("digits", split="test").normalized()
    layers = record.layers(20, "all")
    assert record.images == len(images) == 360
    for what, kind, pair in (
        ("itself", "plain", (twins[0], twins[0])),
        ("itself", "residual", (twins[1], twins[1])),
        ("twins", "", twins),
    ):
        found = rx.similarity(*pair, images)
        assert found.rows == layers
        # The weights that ship are the recorded ones in half precision.
        np.testing.assert_allclose(record.matrix(20, what, kind, 0, "all"), found.matrix, atol=0.004)
        places = [layers.index(name) for name in record.layers(20)]
        np.testing.assert_array_equal(
            record.matrix(20, what, kind), record.matrix(20, what, kind, 0, "all")[np.ix_(places, places)]
        )


def test_what_is_written_is_read_and_constant_layers_are_empty(tmp_path):
    networks = {(8, seed): rx.twins("cifar_resnet8", seed=seed, widths=(2, 4, 8)) for seed in (0, 1)}
    with torch.no_grad():
        last = networks[8, 1][0].layer3[-1]
        last.bn2.weight.zero_()
    images = torch.randn(12, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    path = recorded.record(tmp_path / "mine.npz", networks, images, say=lambda text: None)
    record = rx.load_similarities(path)
    assert (record.depths, record.seeds, record.images) == ((8,), (0, 1), 12)
    plain, residual = networks[8, 0]
    found = rx.similarity(residual, residual, images, record.layers(8), record.layers(8))
    np.testing.assert_allclose(record.matrix(8, "itself", "residual"), found.matrix, atol=0.0005)
    across = rx.similarity(plain, networks[8, 1][0], images, record.layers(8), record.layers(8)[:-1])
    matrix = record.matrix(8, "seeds", "plain")
    np.testing.assert_allclose(matrix[:, :-1], across.matrix, atol=0.0005)
    assert np.isnan(matrix[:, -1]).all()
    row = record.table.query("kind == 'plain' and seed == 1").iloc[0]
    assert row["constant"] == 1
    assert np.isnan(row["like_last"])
    assert np.isnan(record.directions(8, "plain", 1)[-1])


def quiet(text):
    pass


def test_directions_are_those_in_eval_mode_and_networks_are_left_as_found(tmp_path):
    networks = {(8, 0): rx.twins("cifar_resnet8", widths=(2, 4, 8))}
    images = torch.randn(12, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    kept = [recorded.record(tmp_path / "eval", networks, images, quiet)]
    for network in networks[8, 0]:
        network.train()
    before = [fingerprint(network) for network in networks[8, 0]]
    kept.append(recorded.record(tmp_path / "train", networks, images, quiet))
    assert [fingerprint(network) for network in networks[8, 0]] == before
    found = [rx.load_similarities(path).directions(8, "plain") for path in kept]
    np.testing.assert_array_equal(*found)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eval", "train"]


def test_a_block_has_directions_where_it_can_be_compared(digits):
    for kind, depth, seed in itertools.product(recorded.KINDS, digits.depths, digits.seeds):
        own = digits.matrix(depth, "itself", kind, seed).diagonal()
        np.testing.assert_array_equal(np.isnan(own), np.isnan(digits.directions(depth, kind, seed)))


def test_a_seed_that_a_depth_lacks_is_said(tmp_path):
    pair = rx.twins("cifar_resnet8", widths=(2, 4, 8))
    with pytest.raises(rx.ExploreError, match="14 layers lack seed 1"):
        recorded.record(tmp_path / "mine.npz", {(8, 0): pair, (8, 1): pair, (14, 0): pair}, torch.zeros(1))


def test_directions_are_counted_by_the_variances_along_the_principal_axes():
    record = rx.load_similarities("digits")
    network = rx.build("cifar_resnet20", weights="digits")
    images = rx.load_dataset("digits", split="test").normalized()
    with rx.Capture(network, "layer2.1") as seen, torch.no_grad():
        network(images)
    values = seen.outputs["layer2.1"].flatten(1).double()
    variances = np.linalg.eigvalsh(np.cov(values.numpy().T))
    expected = variances.sum() ** 2 / (variances**2).sum()
    place = record.layers(20).index("layer2.1")
    assert record.directions(20, "residual")[place] == pytest.approx(expected, rel=0.01)


def test_distant_and_like_last_on_small_matrices():
    matrix = np.array([[1.0, 0.95, 0.2], [0.95, 1.0, 0.92], [0.2, 0.92, 1.0]])
    assert recorded.distant(matrix) == pytest.approx((0.95 + 0.2 + 0.92) / 3)
    assert recorded.like_last(matrix) == 0.5
    six = np.fromfunction(lambda i, j: np.where(abs(i - j) >= 2, 0.3, 1.0), (6, 6))
    assert recorded.distant(six) == pytest.approx(0.3)
    six[0] = six[:, 0] = np.nan
    assert recorded.distant(six) == pytest.approx(0.3), "a constant layer is left out"


def test_it_is_read_without_torch():
    code = "import sys, resnet_explore as rx; rx.load_similarities().table; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_what_is_not_there_is_said(digits):
    with pytest.raises(rx.ExploreError, match=r"Unknown record of similarities 'digit'.*digits"):
        rx.load_similarities("digit")
    with pytest.raises(rx.ExploreError, match="Unknown matrix"):
        digits.matrix(57, "itself", "plain")


@pytest.mark.parametrize("junk", [b"", b"PK\x03\x04 nothing", b"words", "npy", "other arrays"])
def test_a_file_that_holds_none_is_said(tmp_path, junk):
    path = tmp_path / "mine.npz"
    if isinstance(junk, bytes):
        path.write_bytes(junk)
    else:
        with path.open("wb") as file:
            np.save(file, np.zeros(3)) if junk == "npy" else np.savez(file, values=np.zeros(3))
    with pytest.raises(rx.ExploreError, match="holds no similarities"):
        rx.load_similarities(path)


# --- what the notebook says ---------------------------------------------------------------------------------


def test_distant_blocks_are_less_alike_in_plain_networks_at_each_seed(digits):
    far = column(digits, "distant")
    for depth in digits.depths:
        assert (far["residual", depth] > far["plain", depth]).all(), depth
    assert far["residual", 110].min() > 0.7 > far["plain", 110].max()
    means = [far["plain", depth].mean() for depth in digits.depths]
    assert means == sorted(means, reverse=True), "the deeper, the less"
    assert recorded.distant(digits.matrix(56, "itself", "residual")) == pytest.approx(0.83, abs=0.005)


def test_more_than_half_of_the_blocks_resemble_the_last_one_only_at_110_layers(digits):
    like = column(digits, "like_last")
    deepest = like["plain", 110]
    assert np.isnan(deepest).sum() == 1
    assert (np.nanmin(deepest), np.nanmax(deepest)) == (
        pytest.approx(0.45, abs=0.01),
        pytest.approx(0.77, abs=0.01),
    )
    assert np.nanmean(deepest) > 0.5
    assert column(digits, "constant")["plain", 110].tolist() == [0, 18, 0, 0, 0]
    for depth in digits.depths[:-1]:
        assert like["plain", depth].max() < 0.145
        if depth >= 20:
            assert (like["residual", depth] > like["plain", depth]).all()
    residual = np.concatenate([like["residual", depth] for depth in (20, 32, 56)])
    assert (residual.min(), residual.max()) == (pytest.approx(0.25), pytest.approx(0.46, abs=0.005))


def test_training_makes_distant_residual_blocks_more_alike_on_digits_and_less_on_cifar10(digits):
    cifar = rx.load_similarities("cifar10")
    for record, more in ((digits, True), (cifar, False)):
        before, after = column(record, "untrained_distant"), column(record, "distant")
        for depth in record.depths:
            assert (after["residual", depth].mean() > before["residual", depth].mean()) == more, depth
    far = column(cifar, "distant")
    assert all(far["residual", depth] > far["plain", depth] for depth in cifar.depths)


def test_a_deep_plain_network_has_a_block_that_leaves_one_direction(digits):
    fewest = column(digits, "fewest_directions")
    assert fewest["plain", 56].max() < 1.15
    assert fewest["plain", 110].max() < 1.05
    assert min(fewest["residual", depth].min() for depth in digits.depths) > 4.8
    middle = digits.directions(56, "plain")[11:25]
    assert middle.max() < 1.7
    square = digits.matrix(56, "itself", "plain")[11:25, 11:25]
    assert square.min() > 0.85, "what a line leaves is alike"
    cifar = column(rx.load_similarities("cifar10"), "fewest_directions")
    assert cifar["plain", 56][0] < 6 < 30 < cifar["residual", 56][0]


def test_another_seed_comes_to_like_blocks_only_with_skips(digits):
    again = column(digits, "other_seed")
    assert min(again["residual", depth].min() for depth in digits.depths) > 0.7
    assert again["plain", 20].min() > 0.65
    assert again["plain", 56].max() < 0.5
    assert again["plain", 110].max() < 0.15


def test_what_stands_behind_a_sum_makes_a_grid(digits):
    """Kornblith et al. 2019, figure 4; in a plain network nothing of that kind is seen."""
    for record in (digits, rx.load_similarities("cifar10")):
        for depth in [depth for depth in record.depths if depth >= 20]:
            layers = list(record.layers(depth, "all"))
            blocks = [layers.index(name) for name in record.layers(depth)]
            branches = [layers.index(f"{name}.conv2") for name in record.layers(depth)]
            gap = {}
            for kind in recorded.KINDS:
                matrix = record.matrix(depth, "itself", kind, 0, "all")
                outputs, ends = (
                    np.mean([matrix[a, b] for a, b in itertools.pairwise(k)]) for k in (blocks, branches)
                )
                gap[kind] = outputs - ends
            assert gap["residual"] > 0.1 > 0.03 > gap["plain"], (record.data, depth)


def test_cifar_says_the_same_of_distant_blocks_with_smaller_differences():
    record = rx.load_similarities("cifar10")
    far = column(record, "distant")
    apart = [far["residual", depth][0] - far["plain", depth][0] for depth in record.depths]
    assert all(0.03 < gap < 0.2 for gap in apart)
