"""Recorded lesion studies: the command that writes them, stopped and gone on with, and what reads them."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import resnet_explore as rx
from resnet_explore.analysis.skips import lesions
from resnet_explore.cli import main as cli
from resnet_explore.paths import shipped

ASKED = ("digits", "--images", "20", "--recalibrate", "8", "--seeds", "1", "--path-images", "2")
COLUMNS = ["weights", "network", "kind", "depth", *lesions.COLUMNS]


def run(capsys, *words):
    status = cli.main(["lesions", *map(str, words)])
    return status, *capsys.readouterr()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("record") / "digits"
    assert cli.main(["lesions", *ASKED, "--depths", "8,20", "--out", str(out)]) == 0
    return out


def test_the_record_holds_what_a_study_finds(whole):
    table = rx.load_lesions(whole)
    assert list(table.columns) == COLUMNS
    assert set(table["weights"]) == {"digits"}
    assert list(table["network"].unique()) == [f"cifar_{k}{d}" for d in (8, 20) for k in ("plain", "resnet")]
    assert {*zip(table["kind"], table["depth"], strict=True)} == {
        (kind, depth) for kind in ("plain", "residual") for depth in (8, 20)
    }
    counted = table.groupby(["network", "what"], sort=False).size().to_dict()
    assert counted["cifar_plain8", "whole"] == counted["cifar_resnet20", "whole"] == 1
    assert ("cifar_resnet8", "shuffle") not in counted, "no two of its blocks can be swapped"
    assert ("cifar_plain20", "skip") not in counted
    assert counted["cifar_resnet20", "skip"] == counted["cifar_plain20", "branch"] == 13

    net, digits = rx.build("cifar_resnet20", weights="digits"), rx.load_dataset("digits", "test")
    fresh, _ = drawn(rx.load_dataset("digits", "train"), 8)
    rows = table[(table["network"] == "cifar_resnet20") & (table["what"] == "branch")]
    study = rx.lesion_study(
        net, *drawn(digits, 20), "branch", factors=rows["factor"].tolist(), recalibrate=fresh
    )
    for name in ("error", "error_recalibrated", "loss"):
        np.testing.assert_allclose(rows[name], study.table[name], rtol=1e-3)
    assert (rows["tau"] == 1).all()
    given = table[(table["network"] == "cifar_resnet20") & (table["what"] == "whole")].iloc[0]
    assert given["loss"] == pytest.approx(study.unedited["loss"], rel=1e-3)


def drawn(data, count):
    import torch

    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:count]
    return data.normalized(chosen), data.labels[chosen]


def test_paths_are_those_of_residual_networks(whole):
    table = rx.load_paths(whole)
    assert list(table["network"].unique()) == ["cifar_resnet8", "cifar_resnet20"]
    rows = table[table["network"] == "cifar_resnet20"]
    assert rows["length"].tolist() == list(range(10))
    assert rows["paths"].tolist() == [1, 9, 36, 84, 126, 126, 84, 36, 9, 1]
    found = rx.path_lengths(
        rx.build("cifar_resnet20", weights="digits"), *drawn(rx.load_dataset("digits", "test"), 2)
    )
    np.testing.assert_allclose(rows["share"], found.share, rtol=1e-3)


def test_the_page_says_where_it_comes_from(whole):
    about, page = json.loads((whole / "about.json").read_text()), (whole / "README.md").read_text()
    command = (
        "resnet-explore lesions digits --depths 8,20 --images 20 --recalibrate 8 --seeds 1 --path-images 2"
    )
    assert about["command"] == command
    assert command in page
    assert about["data"] in page
    assert str(whole.parent) not in page + (whole / "about.json").read_text()
    table = rx.load_lesions(whole)
    one = table[(table["network"] == "cifar_resnet20") & (table["what"] == "delete") & (table["count"] == 1)]
    assert f"{one['error'].mean():.1f} ({one['error_recalibrated'].mean():.1f})" in page


def test_the_command_goes_on_from_where_it_was_stopped_and_grows(capsys, tmp_path, monkeypatch, whole):
    out, calls, edited = tmp_path / "digits", [], lesions.edited

    def stopping(*given, **asked):
        calls.append(given)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return edited(*given, **asked)

    monkeypatch.setattr(lesions, "edited", stopping)
    status, _, complained = run(capsys, *ASKED, "--depths", "8", "--out", out)
    assert status == cli.INTERRUPTED
    assert complained.startswith("Stopped. What is measured is kept")
    assert not (out / "README.md").exists()
    half = rx.load_lesions(out)
    assert (half["what"] != "whole").sum() - half.loc[half["what"] != "whole", "error"].isna().sum() >= 29
    status, _, _ = run(capsys, *ASKED, "--depths", "8", "--out", out)
    assert status == 0
    before = len(calls)
    status, said, _ = run(capsys, *ASKED, "--depths", "20", "--out", out)
    assert status == 0
    assert "lesions digits --depths 8,20 --images 20" in said
    pd.testing.assert_frame_equal(rx.load_lesions(out), rx.load_lesions(whole))
    after = len(calls)
    assert run(capsys, *ASKED, "--depths", "8", "--out", out)[0] == 0
    assert len(calls) == after > before
    assert (out / "lesions.csv").read_bytes() == (whole / "lesions.csv").read_bytes()

    kept = {path.name: path.read_bytes() for path in out.iterdir()}
    status, _, complained = run(capsys, *ASKED, "--images", "19", "--out", out)
    assert status == cli.MISTAKE
    assert "holds a study with other images" in complained
    assert {path.name: path.read_bytes() for path in out.iterdir()} == kept


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["mnist"], "Unknown weights: 'mnist'"),
        (["digits", "--depths", "9"], "Unknown depth 9"),
    ],
)
def test_mistakes_are_one_sentence(capsys, tmp_path, words, sentence):
    status, _, complained = run(capsys, *words, "--out", tmp_path / "out")
    assert status == cli.MISTAKE
    assert sentence in complained
    assert len(complained.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_stopped_at_once_says_so(capsys, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(lesions, "edited", stop)
    status, _, complained = run(capsys, *ASKED, "--depths", "8", "--out", tmp_path / "out")
    assert status == cli.INTERRUPTED
    assert complained.startswith("Stopped before the first block was deleted.")


# --- what ships --------------------------------------------------------------------------------------------


def test_reading_a_record_needs_no_torch():
    code = (
        "import sys, resnet_explore as rx\n"
        "rx.load_lesions('digits'), rx.load_paths('digits')\n"
        "print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"


@pytest.mark.parametrize(
    "name", sorted(path.parent.name for path in shipped("data/skips").glob("*/about.json"))
)
def test_what_ships_is_whole(name):
    table, paths = rx.load_lesions(name), rx.load_paths(name)
    assert list(table.columns) == COLUMNS
    assert set(table["weights"]) == {name}
    about = json.loads((shipped("data", "skips", name) / "about.json").read_text())
    assert sorted(table["depth"].unique()) == about["asked"]["depths"]
    for (kind, _), rows in table.groupby(["kind", "depth"]):
        kinds = set(rows["what"])
        assert {"whole", "delete", "branch"} <= kinds
        assert ("skip" in kinds) == (kind == "residual")
        assert not rows.duplicated(["what", "blocks", "count", "seed", "factor"]).any()
        assert rows["error"].dropna().between(0, 100).all()
        assert (
            rows["error"].notna() == (rows["error_recalibrated"].notna() | (rows["what"] == "whole"))
        ).all()
    for _, rows in paths.groupby("network"):
        assert rows["paths"].sum() == 2.0 ** (len(rows) - 1)
        assert rows["share"].sum() == pytest.approx(1, abs=1e-3)


def test_an_unknown_record_is_one_sentence(tmp_path):
    for load in (rx.load_lesions, rx.load_paths):
        with pytest.raises(rx.ExploreError, match="Unknown record of lesions 'digit': did you mean 'digits'"):
            load("digit")
        with pytest.raises(rx.ExploreError, match="Or name a folder"):
            load(tmp_path)
