"""Which trained networks a command measures: those that ship, and those of a sweep."""

import json

import pandas as pd
import pytest
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.cli import main as cli
from resnet_explore.cli.named_twins import trained_twins
from resnet_explore.training.runs import RunFolder, save_tensors


def sweep(folder, runs):
    """A sweep's folder of untrained networks: {(kind, depth, seed, epochs): what they are drawn with}."""
    rows = []
    for (kind, depth, seed, epochs), drawn in runs.items():
        name = f"{kind}{depth}-seed{seed}-{epochs}"
        ours = rx.build(f"cifar_{'resnet' if kind == 'residual' else 'plain'}{depth}", "digits")
        header = {key: json.dumps(value) for key, value in ours.about.items()}
        (folder / name).mkdir(parents=True)
        weights = rx.build(ours.config, seed=drawn).state_dict()
        save_tensors(RunFolder(folder / name).checkpoint, weights, header)
        own = {"run": name, "family": "cifar", "kind": kind, "depth": depth, "seed": seed}
        rows.append({**own, "epoch": epochs, "epochs": epochs})
    pd.DataFrame(rows).to_csv(folder / "history.csv", index=False)
    return folder


def test_other_seeds_come_after_what_ships(tmp_path):
    runs = sweep(tmp_path, {("residual", 8, 1, 1): 5, ("plain", 8, 0, 1): 6, ("plain", 20, 1, 1): 7})
    found = list(trained_twins("digits", [8], runs))
    assert [(str(one), one.seed, one.ships) for one in found] == [
        ("plain-8", 0, True),
        ("residual-8", 0, True),
        ("residual-8", 1, False),
    ]
    assert fingerprint(found[0].net) == fingerprint(rx.build("cifar_plain8", weights="digits"))
    assert fingerprint(found[2].net) == fingerprint(rx.build(found[1].net.config, seed=5))


@pytest.mark.parametrize("command", ["probes", "landscapes"])
def test_two_runs_of_one_network_and_seed_are_refused(tmp_path, capsys, command):
    runs = sweep(tmp_path / "runs", {("plain", 8, 1, 1): 5, ("plain", 8, 1, 2): 6, ("plain", 20, 1, 1): 7})
    words = [command, "digits", "--depths", "8", "--images", "20", "--runs", runs, "--out", tmp_path / "out"]
    assert cli.main([*map(str, words)]) == cli.MISTAKE
    assert (
        "two runs of cifar_plain8 with seed 1, plain8-seed1-1 and plain8-seed1-2" in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()
