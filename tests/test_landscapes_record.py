"""Recorded landscapes: the command that measures them, and what ships."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from made_up import untrained_sweep

import resnet_explore as rx
from resnet_explore.analysis.landscape import surface
from resnet_explore.analysis.landscape.recorded import recorded_landscapes, recorded_sharpness
from resnet_explore.cli import main as cli
from resnet_explore.paths import shipped

ASKED = (
    *("digits", "--depths", "8", "--images", "20", "--size", "5", "--planes", "2", "--further", "3"),
    *("--curvature", "3", "--steps", "3"),
)
PLANES = ["random-0", "random-0-train", "random-1", "random-1-train"]

SHIPPED = sorted(path.parent.name for path in shipped("data", "landscapes").glob("*/about.json"))


def run(capsys, *words):
    status = cli.main(["landscapes", *map(str, words)])
    return status, *capsys.readouterr()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("record") / "digits"
    assert cli.main(["landscapes", *ASKED, "--out", str(out)]) == 0
    return out


def drawn(count):
    data = rx.load_dataset("digits", "train")
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:count]
    return data.normalized(chosen), data.labels[chosen]


def test_the_record_holds_what_the_functions_find(whole):
    planes = recorded_landscapes(whole)
    assert sorted(planes) == [(kind, 8, plane) for kind in ("plain", "residual") for plane in PLANES]
    net, (images, labels) = rx.build("cifar_plain8", weights="digits"), drawn(20)
    found, kept = (
        rx.loss_landscape(net, images, labels, 3, seed=1, mode="train"),
        planes["plain", 8, "random-1-train"],
    )
    np.testing.assert_allclose(kept.loss, found.loss, rtol=1e-4)
    np.testing.assert_allclose(kept.error, found.error, rtol=1e-4)
    for name in ("plane", "mode", "images", "trajectory", "share"):
        assert getattr(kept, name) == getattr(found, name)
    np.testing.assert_array_equal(kept.x, found.x)

    rows = {(row.kind, row.mode): row for row in recorded_sharpness(whole)}
    assert set(rows) == {(kind, mode) for kind in ("plain", "residual") for mode in ("eval", "train")}
    row = rows["plain", "train"]
    fair = rx.top_hessian_eigenvalue(net, images, labels, steps=3, mode="train", normalised=True)
    assert row.normalised == pytest.approx(fair.value, rel=1e-3)
    assert row.lowest == pytest.approx(fair.lowest, rel=1e-2, abs=1e-3)
    assert (row.depth, row.seed, row.points) == (8, 0, 3)
    assert row.loss == pytest.approx(planes["plain", 8, "random-0-train"].here, rel=1e-4)


def test_the_page_says_where_it_comes_from(whole):
    page, about = (whole / "README.md").read_text(), json.loads((whole / "about.json").read_text())
    assert about["command"] == "resnet-explore landscapes " + " ".join(ASKED)
    assert about["command"] in page
    assert "20 of 1,437 training images" in page
    found = recorded_landscapes(whole)["residual", 8, "random-1"]
    assert f"| residual-8/random-1 | {found.here:.3g} |" in page


@pytest.mark.training
def test_the_plane_of_a_training_holds_its_way(capsys, tmp_path):
    asked = ("digits", "--depths", "8", "--images", "20", "--size", "3", "--planes", "1", "--curvature", "0")
    assert run(capsys, *asked, "--trained", "8", "--out", tmp_path)[0] == 0
    for kind in ("plain", "residual"):
        training = recorded_landscapes(tmp_path)[kind, 8, "training"]
        assert training.trajectory.shape == (19, 2)
        np.testing.assert_allclose(training.trajectory[-1], 0, atol=1e-4)
        assert training.mode == "train"
        assert 0.5 < training.share < 1
        assert training.here < training.loss[1].max()


def test_the_command_goes_on_from_where_it_was_stopped(capsys, tmp_path, monkeypatch, whole):
    out, points, measure = tmp_path / "digits", [], surface.loss_landscape

    def stopped():
        points.append(1)
        if len(points) == 55:
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr(surface, "loss_landscape", lambda *a, **kw: measure(*a, **kw, cancel=stopped))
    status, _, complained = run(capsys, *ASKED, "--out", out)
    assert status == cli.INTERRUPTED
    assert complained.startswith("Stopped. What is measured is kept")
    assert sorted(recorded_landscapes(out)) == [("plain", 8, "random-0"), ("residual", 8, "random-0")]
    assert run(capsys, *ASKED, "--out", out)[0] == 0
    for name in ("planes.npz", "sharpness.csv"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    before = len(points)
    assert run(capsys, *ASKED, "--out", out)[0] == 0
    assert len(points) == before
    kept = (out / "planes.npz").read_bytes()
    status, _, complained = run(capsys, *ASKED, "--images", "19", "--out", out)
    assert status == cli.MISTAKE
    assert "holds landscapes with other images" in complained
    assert (out / "planes.npz").read_bytes() == kept


def test_a_folder_of_other_weights_is_refused(capsys, tmp_path):
    runs = [
        untrained_sweep(tmp_path / name, {("plain", 8, 1, 1): drawn}) for name, drawn in (("A", 5), ("B", 6))
    ]
    asked = ("digits", "--depths", "8", "--images", "20", "--size", "3", "--planes", "1", "--further", "3")
    asked += ("--curvature", "3", "--steps", "1", "--out", tmp_path / "out")
    assert run(capsys, *asked, "--runs", runs[0])[0] == 0
    kept = (tmp_path / "out" / "sharpness.csv").read_bytes()
    status, _, complained = run(capsys, *asked, "--runs", runs[1])
    assert status == cli.MISTAKE
    assert "other weights or images of plain-8, seed 1" in complained
    assert (tmp_path / "out" / "sharpness.csv").read_bytes() == kept


def test_a_folder_of_other_images_is_refused(capsys, tmp_path, whole, monkeypatch):
    shutil.copytree(whole, tmp_path / "out")
    others = rx.load_dataset("digits", "test")
    monkeypatch.setattr("resnet_explore.cli.as_trained.as_trained", lambda *asked: others)
    status, _, complained = run(capsys, *ASKED, "--out", tmp_path / "out")
    assert status == cli.MISTAKE
    assert "other weights or images of plain-8, seed 0" in complained


def test_a_copy_of_a_record_keeps_its_rows_and_where_it_was_begun(capsys, tmp_path, whole):
    out = tmp_path / "digits"
    shutil.copytree(whole, out, ignore=shutil.ignore_patterns("parts"))
    about = json.loads((out / "about.json").read_text())
    (out / "about.json").write_text(json.dumps({**about, "commit": "abc1234", "date": "2020-01-01"}))
    head, *rows = (out / "sharpness.csv").read_text().splitlines()
    other_seed = rows[0].replace("plain,8,0,", "plain,8,3,")
    (out / "sharpness.csv").write_text("\n".join([head, *rows[1:], other_seed]) + "\n")
    assert run(capsys, *ASKED, "--out", out)[0] == 0
    again = (out / "sharpness.csv").read_text().splitlines()
    assert sorted(again) == sorted([head, *rows, other_seed])
    found = json.loads((out / "about.json").read_text())
    assert (found["commit"], found["date"]) == ("abc1234", "2020-01-01")
    assert found["finished"] == {"commit": about["commit"], "date": about["date"]}
    assert found["command"].endswith("--runs runs/digits")
    page = (out / "README.md").read_text()
    assert f"begun at commit abc1234 on 2020-01-01 and finished at {about['commit']} on" in page


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--size", "4"), "an odd number of at least 3, not 4"),
        (("--further", "1"), "an odd number of at least 3, not 1"),
        (("--curvature", "6"), "an odd number of at least 3, not 6"),
        (("--curvature", "1"), "an odd number of at least 3, not 1"),
        (("--images", "1"), "at least 2, not 1"),
        (("--trained", "20"), "Unknown depth to train anew 20: known: 8. It must be among --depths."),
    ],
)
def test_options_are_checked_before_the_first_plane(capsys, tmp_path, words, sentence):
    try:
        status, said, complained = run(capsys, *ASKED, *words, "--out", tmp_path / "out")
    except SystemExit as left:
        status, (said, complained) = left.code, capsys.readouterr()
    assert status == cli.MISTAKE
    assert sentence in complained
    assert not said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["about.json", "planes.npz", "sharpness.csv"])
@pytest.mark.parametrize("junk", [b"", b"words", b'{"asked": 3}', b"kind,depth\nplain,8\n"])
def test_a_damaged_folder_is_one_sentence(capsys, tmp_path, whole, name, junk):
    out = tmp_path / "digits"
    shutil.copytree(whole, out)
    (out / name).write_bytes(junk)
    status, _, complained = run(capsys, *ASKED, "--out", out)
    assert status == cli.MISTAKE
    assert f"{out / name} " in complained
    assert (out / name).read_bytes() == junk


# --- what ships --------------------------------------------------------------------------------------------


def test_reading_a_record_needs_neither_torch_nor_pandas():
    code = (
        "import sys\n"
        "from resnet_explore.analysis.landscape.recorded import recorded_landscapes, recorded_sharpness\n"
        "recorded_landscapes('digits'), recorded_sharpness('digits')\n"
        "print([name for name in ('torch', 'pandas') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_an_unknown_record_is_one_sentence(tmp_path):
    for read in (recorded_landscapes, recorded_sharpness):
        with pytest.raises(
            rx.ExploreError, match="Unknown record of landscapes 'digit': did you mean 'digits'"
        ):
            read("digit")
        with pytest.raises(rx.ExploreError, match="Or name a folder"):
            read(tmp_path)


@pytest.mark.parametrize("data", SHIPPED)
def test_what_ships_is_whole(data):
    planes = recorded_landscapes(data)
    about = json.loads(shipped("data", "landscapes", data, "about.json").read_text())
    asked = about["asked"]
    for kind in ("plain", "residual"):
        assert {key.depth for key in planes if key.kind == kind} == set(asked["depths"])
    for key, plane in planes.items():
        size = len(plane.x)
        assert plane.loss.shape == plane.error.shape == (size, size)
        assert plane.x[size // 2] == plane.y[size // 2] == 0
        assert ((plane.error >= 0) & (plane.error <= 100)).all()
        assert np.isfinite(plane.here)
        assert plane.mode == ("eval" if key.plane.count("-") == 1 else "train")
        assert plane.images == min(asked["images"], about["training images"])
        assert (plane.trajectory is not None) == (key.plane == "training")
    rows = recorded_sharpness(data) if asked["curvature"] else ()
    assert len({(row.kind, row.depth, row.seed, row.mode) for row in rows}) == len(rows)
    for row in rows:
        assert row.normalised_error <= 0.05 * abs(row.normalised)
        assert row.seed or row.loss == pytest.approx(
            planes[row.kind, row.depth, "random-0" if row.mode == "eval" else "random-0-train"].here, rel=1e-4
        )
    seeds: dict[tuple[str, int, str], set[int]] = {}
    for row in rows:
        seeds.setdefault((row.kind, row.depth, row.mode), set()).add(row.seed)
    assert len(seeds) == (4 * len(asked["depths"]) if rows else 0)
    assert all(own == next(iter(seeds.values())) for own in seeds.values())


@pytest.mark.parametrize("name", ["cifar_plain20", "cifar_resnet20"])
def test_a_recorded_point_is_what_one_gets_by_setting_the_weights(name):
    kept = recorded_landscapes("digits")["plain" if "plain" in name else "residual", 20, "random-0"]
    net, (images, labels) = rx.build(name, weights="digits"), drawn(360)
    own = {path: p.clone() for path, p in net.named_parameters() if p.ndim > 1}
    random, middle = torch.Generator().manual_seed(0), len(kept.x) // 2
    with torch.no_grad():
        for far in (kept.x[middle + 3], kept.y[middle - 2]):
            for path, weight in own.items():
                for i, one in enumerate(torch.randn(weight.shape, generator=random)):
                    net.get_parameter(path)[i] += far * one / one.norm() * weight[i].norm()
        loss = torch.nn.functional.cross_entropy(net.eval()(images), labels).item()
    assert kept.loss[middle - 2, middle + 3] == pytest.approx(loss, rel=1e-3)


# --- what notebooks may say of it ---------------------------------------------------------------------------

DEPTHS = (8, 20, 32, 56, 110)


@pytest.fixture(scope="module")
def digits():
    return recorded_landscapes("digits")


def low(planes, kind, plane):
    return np.array([planes[kind, depth, plane].under(1) for depth in DEPTHS])


@pytest.mark.parametrize(
    "plane", sorted({k.plane for k in recorded_landscapes("digits") if "random" in k.plane})
)
def test_the_bowl_stays_with_skips_and_is_lost_without(digits, plane):
    plain, residual = low(digits, "plain", plane), low(digits, "residual", plane)
    assert (np.diff(plain) <= 0).all()
    assert (plain[3:] == 0).all()
    assert 0.7 < plain[0] / residual[0] < 1.3, "at 8 layers the twins are alike"
    assert residual.max() < 1.6 * residual.min()
    assert (residual[1:] > 1.2 * plain[1:]).all()
    for depth in DEPTHS:
        assert digits["residual", depth, plane].minima == 1
        if plane.endswith("train") and depth > 8:
            assert digits["plain", depth, plane].minima >= 2


def test_running_statistics_send_both_twins_up_and_batch_statistics_neither(digits):
    for kind in ("plain", "residual"):
        assert digits[kind, 56, "random-0"].beyond.mean() > 0.3
        for depth in DEPTHS:
            for seed in range(3):
                assert digits[kind, depth, f"random-{seed}-train"].loss.max() < 14
    assert (
        digits["plain", 56, "random-0-train"].loss.max()
        < 3
        < digits["residual", 56, "random-0-train"].loss.max()
    )
    assert digits["plain", 110, "random-0"].here > 10
    assert digits["plain", 110, "random-0-train"].here == pytest.approx(np.log(10), abs=0.05)


def test_the_loss_bends_more_sharply_in_deeper_plain_networks_alone():
    rows = {(row.kind, row.depth, row.seed, row.mode): row for row in recorded_sharpness("digits")}
    for seed in {row.seed for row in rows.values()}:
        for mode in ("eval", "train"):
            # Plain networks of 110 layers end on a plateau, some where it bends and some where it doesn't.
            for depth in (20, 32, 56):
                key = depth, seed, mode
                assert rows["plain", *key].normalised > 1.5 * rows["residual", *key].normalised, key


def test_the_page_of_all_records_agrees_with_the_rows():
    page = " ".join(shipped("data", "landscapes", "README.md").read_text().split())
    found: dict[tuple[str, int], list[float]] = {}
    for row in recorded_sharpness("digits"):
        if row.mode == "train":
            found.setdefault((row.kind, row.depth), []).append(row.normalised)
    assert {len(values) for values in found.values()} == {5}
    assert "medians of 5 trainings" in page

    def medians(kind):
        *most, last = (np.median(found[kind, depth]) for depth in (8, 20, 32, 56))
        return ", ".join(in_digits(m) for m in most) + f" and {in_digits(last)}"

    assert f"plain {medians('plain')} at 8, 20, 32 and 56 layers, residual {medians('residual')};" in page
    for depth in (20, 32, 56):
        assert min(found["plain", depth]) > max(found["residual", depth])
    deepest = found["plain", 110]
    assert f"At 110 layers residual {np.median(found['residual', 110]):.0f}, plain" in page
    assert f"from {min(deepest):.1f} to {round(max(deepest), -2):,.0f}:" in page


def in_digits(value):
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def test_the_page_says_how_far_up_running_statistics_send_twins(digits):
    page = " ".join(shipped("data", "landscapes", "README.md").read_text().split())

    def on_axes(kind, depth):
        planes = [digits[kind, depth, f"random-{seed}"].loss for seed in range(3)]
        found = [loss[i, j] for loss in planes for i, j in places(len(loss))]
        return min(found), max(found)

    def places(size):
        middle = size // 2
        return (middle, 0), (middle, size - 1), (0, middle), (size - 1, middle)

    least, most = zip(*(on_axes(kind, 8) for kind in ("plain", "residual")), strict=True)
    assert f"at {min(least):.0f} to {max(most):.0f} nats with 8 layers" in page
    plain, residual = on_axes("plain", 56), on_axes("residual", 56)
    assert f"with 56 at {plain[0]:.0f} to {round(plain[1], -3):,.0f} plain" in page
    assert f"and {residual[0]:.0f} to {residual[1]:.0f} residual" in page


def test_a_plain_training_of_56_layers_is_thrown_far_by_its_first_updates(digits):
    first = {
        k: np.hypot(*np.diff(digits[k, 56, "training"].trajectory[:2], axis=0)[0])
        for k in ("plain", "residual")
    }
    assert first["plain"] > 200
    assert first["residual"] < 5
    for kind, depth in (("plain", 20), ("residual", 20), ("residual", 56)):
        assert 0.85 < digits[kind, depth, "training"].share < 0.92


def test_cifar10_agrees():
    planes = recorded_landscapes("cifar10")
    for plane in {key.plane for key in planes if key.plane.startswith("random")}:
        for depth in (20, 56):
            plain, residual = (planes[kind, depth, plane] for kind in ("plain", "residual"))
            assert residual.minima == 1
            if depth == 20 and plane.endswith("train"):
                assert plain.under(1) == pytest.approx(residual.under(1), abs=0.03), "alike"
            else:
                assert plain.under(1) < residual.under(1)
    batch = [planes["residual", 56, f"random-{seed}-train"].under(1) for seed in range(3)]
    assert (min(batch), max(batch)) == (pytest.approx(0.42, abs=0.005), pytest.approx(0.46, abs=0.005))
    kept = [planes["plain", 56, f"random-{seed}"].minima for seed in range(3)]
    assert kept == [7, 1, 2]
    assert planes["plain", 56, "random-0"].under(1) == 0
    assert planes["plain", 56, "random-0"].minima > 3
    assert planes["residual", 56, "random-0"].under(1) > 0.1
