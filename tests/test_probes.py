"""Linear probes: their features and minimum against slow derivations, the record, and the command."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.activations.probes import pooled_features
from resnet_explore.analysis.activations.recorded_probes import (
    load_probe_accuracies,
    probed_depths,
    probed_weights,
)
from resnet_explore.cli import main as cli
from resnet_explore.paths import shipped


@pytest.fixture(scope="module")
def net():
    return rx.build("cifar_resnet8", weights="digits").eval()


@pytest.fixture(scope="module")
def train():
    data = rx.load_dataset("digits", "train")
    return data.normalized(), data.labels


@pytest.fixture(scope="module")
def test():
    data = rx.load_dataset("digits", "test")
    return data.normalized(), data.labels


def test_features_are_means_over_places_of_what_the_blocks_give(net, test):
    images = test[0][:7]
    before = fingerprint(net)
    found = pooled_features(net, images)
    assert fingerprint(net) == before
    with torch.no_grad():
        x = net.relu(net.bn1(net.conv1(images)))
        expected = {"stem": x.mean((2, 3))}
        for stage in ("layer1", "layer2", "layer3"):
            x = net.get_submodule(f"{stage}.0")(x)
            expected[f"{stage}.0"] = x.mean((2, 3))
    assert list(found) == list(expected)
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=1e-5, atol=1e-6)


def greatest_slope(probes, net, images, labels, strength=1.0):
    """The largest derivative of the penalised cross-entropy: at its one minimum it is 0, whoever found it."""
    features, slopes = pooled_features(net, images), []
    assert probes.names == tuple(features)
    for name, weight, bias in zip(probes.names, probes.weights, probes.biases, strict=True):
        values = features[name].double()
        middle, spread = values.mean(0), values.std(0, correction=0)
        own = (weight.double() * spread).requires_grad_()
        shift = (bias.double() + weight.double() @ middle).requires_grad_()
        standard = (values - middle) / spread
        loss = F.cross_entropy(standard @ own.T + shift, labels, reduction="sum")
        loss = loss + own.square().sum() / (2 * strength)
        slopes += [each.abs().max().item() for each in torch.autograd.grad(loss, (own, shift))]
    return max(slopes)


def test_what_ships_is_the_one_minimum_of_the_penalised_cross_entropy(net, train):
    probes = rx.load_probes("digits", "cifar_resnet8")
    assert greatest_slope(probes, net, *train) < 0.05, "of 1,437 summands"


@pytest.mark.parametrize("strength", [0.1, 1.0])
@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes_have_that_minimum_too(net, train, classes, strength):
    images, labels = (part[train[1] < classes][:90] for part in train)
    probes = rx.linear_probes(net, images, labels, strength)
    assert greatest_slope(probes, net, images, labels, strength) < 0.005


def test_the_same_images_give_the_same_probes(net, train):
    images, labels = (part[:200] for part in train)
    first, again = (rx.linear_probes(net, images, labels) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.weights, again.weights, strict=True))
    assert torch.equal(first.biases, again.biases)


def test_two_classes_have_a_probe_with_two_rows(net, train):
    images, labels = train
    chosen = labels < 2
    probes = rx.linear_probes(net, images[chosen], labels[chosen])
    assert [weight.shape[0] for weight in probes.weights] == [2] * 4
    assert probes.accuracy(net, images[chosen], labels[chosen])[-1] > 0.99


@pytest.mark.parametrize("network", ["cifar_plain8", "cifar_resnet8"])
def test_recorded_accuracies_are_those_of_the_probes_that_ship(network, test):
    rows = load_probe_accuracies("digits").query("network == @network and seed == 0")
    found = rx.load_probes("digits", network).accuracy(rx.build(network, weights="digits"), *test)
    np.testing.assert_allclose(rows["accuracy"], 100 * found, atol=0.3)  # an image of 360 at most


@pytest.mark.parametrize("weights", probed_weights())
def test_what_ships_is_whole_and_small(weights):
    folder = shipped("data", "probes", weights)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 500_000
    table, about = load_probe_accuracies(weights), json.loads((folder / "about.json").read_text())
    assert about["command"] in (folder / "README.md").read_text()
    assert set(table["depth"]) == set(about["asked"]["depths"]) == probed_depths(weights)
    assert table["accuracy"].between(0, 100).all()
    for network, rows in table.groupby("network"):
        probes = rx.load_probes(weights, str(network))
        for _, own in rows.groupby("seed"):
            assert tuple(own["block"]) == probes.names
            assert list(own["place"]) == list(range(len(probes.names)))


def test_what_does_not_fit_is_one_sentence(net, train):
    images, labels = (part[:50] for part in train)
    with pytest.raises(rx.ExploreError, match="of another network"):
        rx.load_probes("digits", "cifar_resnet20").logits(net, images)
    with pytest.raises(rx.ExploreError, match="an image of each"):
        rx.linear_probes(net, images, labels * 2)
    with pytest.raises(rx.ExploreError, match="no blocks"):
        rx.linear_probes(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), images, labels)
    with pytest.raises(rx.ExploreError, match="labels must be 50 whole numbers"):
        rx.linear_probes(net, images, labels[:3])
    with pytest.raises(rx.ExploreError, match=r"digits.*Or name a folder"):
        rx.load_probes("digit", "cifar_resnet8")
    with pytest.raises(rx.ExploreError, match="cifar_resnet8"):
        rx.load_probes("digits", "cifar_resnet9")


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, 20_000_000, 1, 1], r"with an image of each; these are of 0, 1, 20000000\.$"),
        ([1, 1, 2, 2], r"counted from 0.* of 1, 2\.$"),
        ([-1, 0, 0, 1], r"of -1, 0, 1\.$"),
        ([0, 0, 0, 0], r"two classes or more.* of 0\.$"),
        (torch.zeros(4), "labels must be 4 whole numbers"),
        ([[0], [1, 2], [0], [1]], "labels must be 4 whole numbers"),
        ([], "labels must be 4 whole numbers"),
    ],
)
def test_labels_that_lack_a_class_are_one_sentence(net, train, labels, sentence):
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.linear_probes(net, train[0][:4], labels)


@pytest.mark.parametrize("strength", [0, -1.0, float("nan"), float("inf"), "a", True])
def test_a_strength_that_can_not_be_is_one_sentence(net, train, strength):
    with pytest.raises(rx.ExploreError, match="strength must be a finite number above 0"):
        rx.linear_probes(net, train[0][:4], [0, 1, 0, 1], strength)


def test_a_network_whose_features_are_not_finite_is_one_sentence(train):
    net = rx.build("cifar_resnet8", weights="digits")
    with torch.no_grad():
        net.layer1[0].conv1.weight[0] = float("nan")
    with pytest.raises(rx.ExploreError, match=r"at layer1.0 is not finite: its own layer1.0.conv1.weight"):
        rx.linear_probes(net, train[0][:4], [0, 1, 0, 1])


class Wordy(nn.Module):
    """Calls its block by keyword, and the block gives a tuple."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = (nn.Conv2d(2, 2, 3, padding=1) for _ in range(2))

        def forward(self, x):
            return (x + self.conv2(self.conv1(x).relu()), None)

    def __init__(self):
        super().__init__()
        self.conv, self.block, self.fc = nn.Conv2d(1, 2, 3, padding=1), self.Block(), nn.Linear(2, 2)

    def forward(self, images):
        return self.fc(self.block(x=self.conv(images))[0].mean((2, 3)))


def test_a_block_called_by_keyword_that_gives_a_tuple_has_features(train):
    net, images = Wordy(), train[0][:4]
    found = pooled_features(net, images)
    with torch.no_grad():
        stem = net.conv(images)
        expected = {"stem": stem.mean((2, 3)), "block": net.block(stem)[0].mean((2, 3))}
    torch.testing.assert_close(found, expected)


def test_a_file_without_a_header_is_one_sentence(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "probes.safetensors")
    with pytest.raises(rx.ExploreError, match="no readable file of probes"):
        rx.load_probes(tmp_path, "cifar_resnet8")


def test_where_nothing_can_be_written_is_said_before_the_fitting(capsys, tmp_path):
    (tmp_path / "file").touch()
    assert cli.main(["probes", "digits", "--depths", "8", "--out", str(tmp_path / "file" / "out")]) == 2
    said, complained = capsys.readouterr()
    assert "can't be written to" in complained
    assert not said


@pytest.mark.training
def test_the_command_writes_what_ships_and_other_seeds(tmp_path, capsys):
    runs, out = tmp_path / "runs", tmp_path / "probes"
    with ThreadPoolExecutor(1) as executor:
        rx.run_sweep(rx.Sweep("digits", depths=(8,), seeds=(1,), epochs=1, batch_size=512), runs, executor)
    words = ["probes", "digits", "--depths", "8", "--images", "300", "--runs", runs, "--out", out]
    assert cli.main([*map(str, words)]) == 0
    assert "seed 1" in capsys.readouterr().out
    table = load_probe_accuracies(out)
    counted = table.groupby(["network", "seed"]).size().to_dict()
    assert counted == {(f"cifar_{kind}8", seed): 4 for kind in ("plain", "resnet") for seed in (0, 1)}
    data = rx.load_dataset("digits", "train")
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:300]
    again = rx.linear_probes(
        rx.build("cifar_plain8", weights="digits"), data.normalized(order), data.labels[order]
    )
    torch.testing.assert_close(rx.load_probes(out, "cifar_plain8").biases, again.biases, rtol=1e-3, atol=1e-3)
    assert "--depths 8 --images 300 --runs runs/digits" in (out / "README.md").read_text()
    assert pd.read_csv(out / "accuracy.csv").equals(table)


def test_a_depth_that_does_not_ship_is_said(capsys, tmp_path):
    assert cli.main(["probes", "digits", "--depths", "9", "--out", str(tmp_path / "out")]) == 2
    assert "Unknown depth 9" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
