"""Methods judged on many images: against single verdicts, against sums by hand, broken off and gone on."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.explain.scoring.evaluation import (
    Evaluation,
    block_before_last_stage,
    load_verdicts,
)
from resnet_explore.analysis.explain.scoring.verdict import Verdict, explainer
from resnet_explore.cli import main as cli
from resnet_explore.models.threads import one_thread

METHODS, METRICS = ["grad_cam", "saliency"], ["deletion", "stability"]


@pytest.fixture(autouse=True)
def on_one_thread():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def twins():
    return {kind: rx.build(f"cifar_{kind}8", weights="digits") for kind in ("plain", "resnet")}


@pytest.fixture(scope="module")
def digits():
    return rx.load_dataset("digits", "test")


def test_values_are_those_of_single_verdicts(twins, digits):
    told, before = [], [fingerprint(net) for net in twins.values()]
    found = rx.evaluate(
        twins, digits, METHODS, METRICS, images=10, draws=3, progress=lambda *seen: told.append(seen[:2])
    )
    assert [fingerprint(net) for net in twins.values()] == before
    assert told == [(k, 12) for k in range(1, 13)]  # each with two kinds of map, each with chance and centre
    assert found.networks == ["plain", "resnet"]
    assert found.methods == METHODS
    assert found.metrics == METRICS
    table = found.table()
    wide = table.pivot(index="method", columns=["metric", "network"], values="value")
    assert wide.shape == (2, 4)
    assert set(table["layer"]) == {"layer2.0", ""}
    chosen = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))[:10].sort().values
    assert sorted(found.values["image"].unique()) == chosen.tolist()
    for method, layer in (("grad_cam", "layer2.0"), ("saliency", None)):
        for kind, net in twins.items():
            of_twin = found.values[found.values["network"] == kind]
            way = explainer(method, layer)
            for metric, verdict in rx.judge(
                net, digits.normalized(chosen[:8]), way, metrics=METRICS, draws=1
            ).items():
                rows = of_twin[of_twin["method"] == method]
                assert rows[metric][:8].mean() == pytest.approx(verdict.value, abs=1e-6)
                blind = of_twin[of_twin["method"] == "centre"]
                same = blind[blind["layer"] == (layer or "")]
                assert same[metric][:8].mean() == pytest.approx(verdict.centre, abs=1e-6)
    chance = found.values.query("network == 'plain' and method == 'random' and layer == ''")["stability"]
    assert chance.abs().max() < 0.3
    assert chance.nunique() == 10  # drawn anew for each image


def test_a_gain_is_the_mean_difference_image_by_image_in_the_good_direction():
    draw = np.random.default_rng(0)
    rows = []
    for method, at in (("random", 0.5), ("centre", 0.4), ("grad_cam", 0.3), ("hirescam", 0.52)):
        for image in (3, 1, 7, 12, 20):
            value = at + 0.01 * draw.standard_normal() + 0.01 * image
            rows.append(("net", method, "layer3.1", image, value, 1 - value, 0.2 * value))
    columns = ["network", "method", "layer", "image", "deletion", "insertion", "randomisation"]
    values = pd.DataFrame(rows, columns=columns)
    shuffled = values.sample(frac=1, random_state=0)  # images are paired by their number, not their place
    table = Evaluation(shuffled).table().set_index(["method", "metric"])
    for metric, sign in (("deletion", -1), ("insertion", 1), ("randomisation", -1)):
        by_method = {m: g.sort_values("image")[metric].to_numpy() for m, g in values.groupby("method")}
        for method in ("grad_cam", "hirescam"):
            gains = sign * (by_method[method] - by_method["random"])
            row = table.loc[(method, metric)]
            assert row["gain"] == pytest.approx(gains.mean())
            assert row["gain_error"] == pytest.approx(gains.std(ddof=1) / 5**0.5)
            assert row["value"] == pytest.approx(by_method[method].mean())
            assert row["error"] == pytest.approx(by_method[method].std(ddof=1) / 5**0.5)
            assert row["random"] == pytest.approx(by_method["random"].mean())
            assert row["centre"] == pytest.approx(by_method["centre"].mean())
            assert row["centre_gain"] == pytest.approx(sign * (row["centre"] - row["random"]))
            assert row["images"] == 5
    passed = table["passed"]
    assert passed["grad_cam", "deletion"]
    assert passed["grad_cam", "insertion"]
    assert passed["grad_cam", "randomisation"]
    assert not passed["hirescam", "deletion"]


def test_a_map_as_alike_as_chance_passes_the_randomisation_check_and_one_that_stays_does_not():
    rows = [
        ("net", method, "", image, value + wiggle)
        for method, value in (
            ("random", 0.01),
            ("centre", 1.0),
            ("grad_cam", 0.02),
            ("eigen_cam", 0.4),
            ("saliency", 0.05),
        )
        for image, wiggle in enumerate(
            (0.0, 0.01, -0.01, 0.0, 0.01) if method == "grad_cam" else (0.01, 0.0, 0.0, 0.01, 0.0)
        )
    ]
    values = pd.DataFrame(rows, columns=["network", "method", "layer", "image", "randomisation"])
    passed = Evaluation(values).table().set_index("method")["passed"]
    assert passed["grad_cam"]
    assert passed["saliency"], "more alike than chance, but hardly alike"
    assert not passed["eigen_cam"]


def passed(gains, metric):
    """Say of a method whose differences from random maps are these, (networks, images), where it passed.

    The metric is good when high.
    """
    rows = [
        (network, method, "", image, 0.5 + value)
        for network, of_network in enumerate(gains)
        for image, gain in enumerate(of_network)
        for method, value in (("random", 0), ("centre", 0), ("saliency", gain))
    ]
    columns = ["network", "method", "layer", "image", metric]
    return Evaluation(pd.DataFrame(rows, columns=columns)).table()["passed"].tolist()


@pytest.mark.parametrize("count", [2, 4, 5, 6, 16, 200])
def test_a_tick_is_a_paired_t_test_of_enough_images(count):
    shifts = np.linspace(0, 4, 25)[:, None] / count**0.5
    gains = shifts + np.random.default_rng(count).standard_normal((25, count))
    p = stats.ttest_1samp(gains, 0, axis=1, alternative="greater").pvalue
    found = passed(gains, "insertion")
    assert found == [count >= 5 and one < 0.025 for one in p]
    assert set(found) == ({False} if count < 5 else {False, True})
    # For randomisation high is bad, and what is shown is that a map is at most 0.1 more alike.
    p = stats.ttest_1samp(-0.1 * gains, -0.1, axis=1, alternative="greater").pvalue
    assert passed(0.1 * gains, "randomisation") == [count >= 5 and one < 0.025 for one in p]


def test_chance_passes_as_seldom_as_is_said_and_noise_is_no_proof_that_a_map_is_gone():
    draw = np.random.default_rng(0)
    found = passed(draw.standard_normal((1000, 6)), "insertion")
    assert 0.01 < np.mean(found) < 0.045  # 1 in 40, with 1,000 draws
    assert passed([[0.9, -0.8, 0.7, -0.9, 0.8, -0.7]], "randomisation") == [False]


def test_a_zero_has_no_sign_of_less():
    verdict = Verdict("road", -0.0001, -0.0002, 0.1, -0.0, as_good=3, draws=19, images=1)
    assert "-0.000" not in str(verdict)


def test_two_images_give_no_tick_however_good(twins, digits):
    found = rx.evaluate(twins, digits, ["saliency"], ["deletion"], 2, draws=1)
    assert not found.table()["passed"].any()
    assert "Of fewer than 5 images nothing is said." in str(found)
    assert str(found).count("✓") == 1, "in the rule alone"


def test_what_is_known_is_not_measured_again(twins, digits):
    kept = []
    whole = rx.evaluate(
        twins, digits, METHODS, ["deletion"], 3, draws=1, progress=lambda *s: kept.append(s[2])
    )
    again = rx.evaluate(twins, digits, METHODS, ["deletion"], 3, draws=1, known=kept[4])
    pd.testing.assert_frame_equal(again.values, whole.values)
    marked = kept[4].assign(deletion=-1.0)
    again = rx.evaluate(twins, digits, METHODS, ["deletion"], 3, draws=1, known=marked)
    assert (again.values["deletion"] == -1).sum() == len(marked)


def test_the_layer_lies_one_stage_before_the_last():
    assert block_before_last_stage(rx.build("resnet18")) == "layer3.1"
    assert block_before_last_stage(rx.build("cifar_plain20")) == "layer2.2"
    assert block_before_last_stage(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))) == "0"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"methods": ["gradcam"]}, "Unknown method 'gradcam': did you mean 'grad_cam'"),
        ({"metrics": ["delete"]}, "Unknown metric 'delete': did you mean 'deletion'"),
        ({"images": 1}, "images must be at least 2"),
        ({"draws": 0}, "draws at least 1"),
    ],
)
def test_bad_input(twins, digits, given, sentence):
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.evaluate(twins, digits, **{"methods": METHODS, "metrics": METRICS, **given})


# The command ---------------------------------------------------------------------------------------------


def run(capsys, *words):
    status = cli.main(["judge", *map(str, words)])
    return status, *capsys.readouterr()


def test_the_command_goes_on_from_where_it_was_stopped(capsys, tmp_path, monkeypatch):
    asked = ("digits", "--methods", "grad_cam,saliency", "--metrics", "deletion,insertion", "--images", 3)
    status, said, _ = run(capsys, *asked, "--out", tmp_path / "whole")
    assert status == 0
    assert said.splitlines()[:2] == [
        "Reading digits ...",
        "Judging 2 methods, and maps that know nothing, on 3 of 360 test images (none can pass with fewer "
        f"than 5): a line for each that is done and kept in {tmp_path / 'whole'}.",
    ]
    assert said.splitlines()[2].startswith("  1/12  cifar_plain20")
    whole = load_verdicts(tmp_path / "whole")
    assert whole.about["command"] == (
        "resnet-explore judge digits --methods grad_cam,saliency --metrics deletion,insertion --images 3"
    )
    page = (tmp_path / "whole" / "README.md").read_text()
    value = whole.table().query("network == 'cifar_resnet20' and method == 'saliency'")["value"]
    assert all(f"{v:.3f} ±" in page for v in value)
    assert "3 of 360 test images" in page

    from resnet_explore.analysis.explain.scoring import evaluation

    judged, calls = evaluation._judged, []

    def stopping(*given):
        calls.append(given[2])
        if len(calls) == 5:
            raise KeyboardInterrupt
        return judged(*given)

    monkeypatch.setattr(evaluation, "_judged", stopping)
    status, _, complained = run(capsys, *asked, "--out", tmp_path / "parts")
    assert status == cli.INTERRUPTED
    assert "the same command goes on from there" in complained
    assert not (tmp_path / "parts" / "README.md").exists()
    half = load_verdicts(tmp_path / "parts")
    assert len(half.values) == 12
    status, said, _ = run(capsys, *asked, "--out", tmp_path / "parts")
    assert status == 0
    assert said.splitlines()[2].startswith("  5/12  cifar_plain20")
    pd.testing.assert_frame_equal(load_verdicts(tmp_path / "parts").values, whole.values)

    before = {p.name: p.read_bytes() for p in (tmp_path / "parts").iterdir()}
    status, _, complained = run(capsys, *asked, "--seed", 1, "--out", tmp_path / "parts")
    assert status == cli.MISTAKE
    assert "holds an evaluation with other seed" in complained
    assert {p.name: p.read_bytes() for p in (tmp_path / "parts").iterdir()} == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["mnist"], "Unknown dataset 'mnist'"),
        (["digits", "--methods", "gradcam"], "did you mean 'grad_cam'"),
        (["digits", "--models", "resnet18"], "Unknown weights for resnet18: 'digits'"),
    ],
)
def test_mistakes_are_one_sentence(capsys, tmp_path, words, sentence):
    status, _, complained = run(capsys, *words, "--out", tmp_path / "out")
    assert status == cli.MISTAKE
    assert sentence in complained
    assert len(complained.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_terminal_sees_what_goes_on_between_the_lines(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    words = ("digits", "--methods", "saliency", "--metrics", "deletion", "--images", 9, "--draws", 1)
    status, said, _ = run(capsys, *words, "--models", "cifar_resnet20", "--out", tmp_path / "out")
    assert status == 0
    for image in (1, 9):
        assert f"\r\x1b[Jcifar_resnet20, saliency: image {image} of 9 ...\r\x1b[J" in said
    assert "\r\x1b[J  3/3  cifar_resnet20" in said


@pytest.mark.parametrize("stopped", [0, 1])
def test_ctrl_c_says_what_is_kept(capsys, tmp_path, stopped, monkeypatch):
    from resnet_explore.analysis.explain.scoring import evaluation

    judged, calls = evaluation._judged, []

    def stopping(*given):
        calls.append(given)
        if len(calls) > stopped:
            raise KeyboardInterrupt
        return judged(*given)

    monkeypatch.setattr(evaluation, "_judged", stopping)
    words = ("digits", "--methods", "saliency", "--metrics", "deletion", "--images", 2, "--draws", 1)
    status, _, complained = run(capsys, *words, "--out", tmp_path / "out")
    assert status == cli.INTERRUPTED
    assert complained.startswith(
        "Stopped. What is measured is kept" if stopped else "Stopped before the first"
    )


def test_one_image_is_refused_as_the_help_says(capsys):
    for words in (["--images", "1"], ["--help"]):
        with pytest.raises(SystemExit):
            cli.main(["judge", *words])
    said, complained = capsys.readouterr()
    assert "argument --images: at least 2, not 1" in complained
    assert "how many test images, at least 2;" in " ".join(said.split())


def test_an_unknown_record_is_one_sentence(tmp_path):
    with pytest.raises(rx.ExploreError, match="Unknown evaluation 'imagenet'"):
        load_verdicts("imagenet")
    (tmp_path / "about.json").write_text(json.dumps({})[:-1])
    with pytest.raises(rx.ExploreError, match="Unknown evaluation"):
        load_verdicts(tmp_path)
