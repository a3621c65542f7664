"""Which trained networks a command measures: those that ship, and those of a sweep."""

import pytest
import torch
from made_up import untrained_sweep

import resnet_explore as rx
from resnet_explore.cli import main as cli
from resnet_explore.cli.named_twins import trained_twins


def test_other_seeds_come_after_what_ships(tmp_path):
    runs = untrained_sweep(
        tmp_path, {("residual", 8, 1, 1): 5, ("plain", 8, 0, 1): 6, ("plain", 20, 1, 1): 7}
    )
    found = list(trained_twins("digits", [8], runs))
    assert [(str(one), one.seed, one.ships) for one in found] == [
        ("plain-8", 0, True),
        ("residual-8", 0, True),
        ("residual-8", 1, False),
    ]
    for one, other in (
        (found[0], rx.build("cifar_plain8", weights="digits")),
        (found[2], rx.build(found[1].net.config, seed=5)),
    ):
        assert torch.equal(one.net.fc.weight, other.fc.weight)


@pytest.mark.parametrize("command", ["probes", "landscapes"])
def test_two_runs_of_one_network_and_seed_are_refused(tmp_path, capsys, command):
    runs = untrained_sweep(
        tmp_path / "runs", {("plain", 8, 1, 1): 5, ("plain", 8, 1, 2): 6, ("plain", 20, 1, 1): 7}
    )
    words = [command, "digits", "--depths", "8", "--images", "20", "--runs", runs, "--out", tmp_path / "out"]
    assert cli.main([*map(str, words)]) == cli.MISTAKE
    assert (
        "two runs of cifar_plain8 with seed 1, plain8-seed1-1 and plain8-seed1-2" in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()
