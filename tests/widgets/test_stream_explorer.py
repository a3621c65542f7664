"""The stream explorer without a browser: its numbers, what it plans and shows, and what it refuses."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.activations.recorded_probes import load_probe_accuracies
from resnet_explore.inputs.images import to_batch
from resnet_explore.paths import shipped
from resnet_explore.widgets.core.view import Over, encode
from resnet_explore.widgets.stream import loss
from tests.widgets.pages import assert_kept, numbers, shown

START = {
    "view": "adds",
    "networks": "imagenette",
    "image": "temple",
    "target": None,
    "rival": None,
    "block": -1,
}


@pytest.fixture(scope="module")
def photos():
    made = rx.StreamExplorer(guess=True)
    assert made.wait(120)
    return made


@pytest.fixture
def explorer(photos):
    shown(photos, **START)
    return photos


@pytest.fixture(scope="module")
def by_hand():
    """What the photo's twins say to the temple, without the explorer."""
    plain, residual = rx.twins("resnet18", weights="imagenette")
    about = residual.about
    image = to_batch(rx.sample_photos()["temple"].load(), 128, about["mean"], about["std"])
    return plain, residual, image, about["classes"].index("church")


def charts(page):
    return page.panels[0][0].charts


def test_the_first_view_opens_on_the_block_that_adds_most_to_the_right_class(explorer):
    page = shown(explorer)
    assert explorer.block == 8
    assert "church" in page.headline
    assert len(page.headline.split()) <= 15
    bars = charts(page)[0].series[0]
    assert bars.line == "bars"
    assert bars.y.argmax() == 8
    assert page.question.right == "nearly"
    assert [slider.key for slider in page.sliders] == ["block"]
    assert page.sliders[0].choices[8].tip == "layer4.1"


def test_bars_curves_and_headlines_are_the_networks_own_numbers(explorer, by_hand):
    plain, residual, image, church = by_hand
    found = rx.logit_contributions(residual, image)
    page = shown(explorer)
    adds, built, said = charts(page)
    expected = [float(found[name][0, church]) for name in found]
    np.testing.assert_allclose(adds.series[0].y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(built.series[0].y, np.cumsum(expected), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        logits, twin = residual.eval()(image)[0], plain.eval()(image)[0]
    assert built.series[0].y[-1] == pytest.approx(float(logits[church]), rel=1e-4)
    assert built.series[1].y[-1] == pytest.approx(float(logits.sort().values[-2]), rel=1e-3)
    ends = [100 * float(one.softmax(0)[church]) for one in (twin, logits)]
    assert [series.kind for series in said.series] == ["plain", "residual"]
    assert [series.y[-1] for series in said.series] == pytest.approx(ends, rel=1e-4)
    assert numbers(page.headline)[1:] == [round(expected[8], 2), round(float(logits[church]), 2)]


def test_what_the_plain_head_says_is_asked_only_where_the_shape_is_kept(explorer, by_hand):
    plain, _, image, church = by_hand
    said = charts(shown(explorer))[2].series[0].y
    assert np.isnan(said[:7]).all()
    with rx.edited(plain, delete="layer4.1"), torch.no_grad():
        expected = 100 * float(plain(image)[0].softmax(0)[church])
    assert said[7] == pytest.approx(expected, rel=1e-4)
    answers = shown(explorer, block=3).below[0][1]
    assert answers.answers[0].bars[0].text == "–"
    assert "no answer here" in answers.note


def test_every_map_adds_up_to_its_bar_and_all_share_a_scale(explorer):
    for block in range(10):
        page = shown(explorer, block=block)
        maps = page.below[0][0]
        added = charts(page)[0].series[0].y[block]
        assert maps.steps.maps[0].values.sum() == pytest.approx(added, rel=1e-4, abs=1e-5)
        assert maps.steps.scale == maps.together


def test_the_page_moves_alone_and_keeps_its_order(explorer):
    assert "block" in encode(explorer.page).local
    assert isinstance(explorer.page.headline, Over)
    orders = [
        [answer.value for answer in shown(explorer, block=block).below[0][1].answers] for block in (0, 4, 9)
    ]
    assert orders[0] == orders[1] == orders[2]


def test_another_class_is_taken_apart_and_compared(explorer):
    page = shown(explorer, target=8, rival=4)
    flow = explorer.flow
    np.testing.assert_allclose(charts(page)[0].series[0].y, flow.added[:, 8])
    np.testing.assert_allclose(charts(page)[0].series[1].y, flow.added[:, 4])
    assert page.question is None, "who has moved on is not asked"
    assert explorer.rival == 4
    shown(explorer, networks="cifar10")
    assert (explorer.target, explorer.rival) == (None, None), "other networks have other classes"


def test_digits_of_110_layers_have_54_blocks(explorer):
    page = shown(explorer, networks="digits", depth=110)
    assert len(page.sliders[0].choices) == 56
    assert [slider.key for slider in page.sliders] == ["block", "depth"]
    assert explorer.flow.error < 1e-4
    assert explorer.flow.added.sum(0) == pytest.approx(explorer.flow.logits, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"target": 10}, r"target must lie in 0\.\.9"),
        ({"target": -1}, "not -1"),
        ({"target": 3, "rival": 3}, "no rival of itself"),
        ({"block": 10}, "a number from 0 to 9"),
        ({"view": "loss", "block": 0}, "a number from 1 to 8"),
        ({"view": "early", "block": 9}, "a number from 0 to 8"),
        ({"view": "late"}, "view"),
        ({"block": -2}, "at least 0"),
        ({"networks": "imagenet"}, "Unknown networks"),
        ({"image": "tempel"}, "did you mean 'temple'"),
    ],
)
def test_what_there_is_not_is_said_and_changes_nothing(explorer, changes, sentence):
    before = explorer.state
    with pytest.raises(rx.ExploreError, match=sentence):
        explorer.update(**changes)
    assert explorer.state == before


def test_a_photo_that_is_dropped_is_taken_apart(explorer):
    buffer = io.BytesIO()
    Image.new("RGB", (90, 60), "teal").save(buffer, "PNG")
    explorer._hear(
        explorer, {"act": "image.upload", "detail": {"name": "sea.png", "batch": 1}}, [buffer.getvalue()]
    )
    page = shown(explorer)
    assert any("sea.png" in sentence for sentence in page.conditions)
    assert page.question is None


def test_networks_of_others_are_left_as_they_were():
    torch.manual_seed(0)
    net = rx.build(rx.ResNetConfig(depths=(1, 1, 1), widths=(8, 16, 32), stem="cifar", order="pre"))
    before = fingerprint(net)
    explorer = rx.StreamExplorer(net, torch.randn(1, 3, 24, 40))
    page = shown(explorer)
    assert fingerprint(net) == before
    assert [series.kind for series in charts(page)[2].series] == ["residual"]
    assert page.below[0][0].steps.maps[0].values.shape == (6, 10)
    assert len(page.sliders[0].choices) == 5


def test_a_network_without_sums_is_refused_in_a_sentence():
    explorer = rx.StreamExplorer(rx.build("cifar_plain8"), torch.randn(1, 3, 32, 32))
    assert explorer.wait(60)
    assert "all of the logits come from its last block" in explorer.problem


def test_two_networks_of_others_stand_side_by_side():
    torch.manual_seed(0)
    nets = [rx.build("cifar_resnet8"), rx.build("cifar_resnet14")]
    explorer = rx.StreamExplorer(nets, torch.randn(1, 3, 32, 32))
    page = shown(explorer, block=2)
    assert np.isnan(charts(page)[2].series[0].y[:-2]).all()
    assert "another number of blocks" in page.below[0][1].note
    assert not any("no skip" in sentence for sentence in page.conditions)
    other = rx.StreamExplorer([rx.build("resnet18"), rx.build("cifar_resnet8")], torch.randn(1, 3, 32, 32))
    assert other.wait(60)
    assert "have 1000 and 10" in other.problem


# --- skip and branch ----------------------------------------------------------------------------------------


def test_what_skips_carry_and_branches_add_is_read_off_the_blocks(explorer, by_hand):
    _, residual, image, _ = by_hand
    length, way, kept = charts(shown(explorer, view="skip", block=4))
    with torch.no_grad():
        x = residual.eval().maxpool(residual.relu(residual.bn1(residual.conv1(image))))
        for k, block in enumerate(
            block for n in range(1, 5) for block in residual.get_submodule(f"layer{n}")
        ):
            skip, branch, left = block.shortcut(x).flatten(), block.branch(x).flatten(), block(x)
            ratio, cosine = branch.norm() / skip.norm(), branch @ skip / branch.norm() / skip.norm()
            assert length.series[0].y[k] == pytest.approx(float(ratio), rel=1e-3)
            assert way.series[0].y[k] == pytest.approx(float(cosine), abs=1e-3)
            if x.shape == left.shape:
                cosine = x.flatten() @ left.flatten() / x.norm() / left.norm()
                assert kept.series[1].y[k] == pytest.approx(float(cosine), abs=1e-3)
            x = left
    assert [series.kind for series in kept.series] == ["plain", "residual"]
    assert np.flatnonzero(np.isnan(kept.series[0].y)).tolist() == [2, 4, 6]
    headline = explorer.page.headline.each[4]
    assert numbers(headline) == [4, round(length.series[0].y[3], 2), round(way.series[0].y[3], 2)]
    assert len(headline.split()) <= 15


def test_a_network_all_of_whose_blocks_change_the_shape_keeps_its_charts():
    torch.manual_seed(0)
    net = rx.build(rx.ResNetConfig(depths=(1, 1), widths=(8, 16), stem="cifar"))
    net.layer1[0] = rx.build(rx.ResNetConfig(depths=(1, 1), widths=(4, 8), stem="cifar")).layer2[0]
    net.conv1, net.bn1 = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
    page = shown(rx.StreamExplorer(net, torch.randn(1, 3, 24, 40), view="skip"))
    kept = charts(page)[2]
    assert np.isnan(kept.series[0].y).all()
    assert (kept.y.low, kept.y.high) == (0, 1)
    assert "blocks 1 and 2" in kept.note


# --- without a block ----------------------------------------------------------------------------------------


def test_what_a_block_had_added_stands_beside_what_its_loss_takes(explorer, by_hand):
    plain, residual, image, church = by_hand
    page = shown(explorer, view="loss", block=4)
    beside, both, left = charts(page)
    parts, added, lost = rx.logit_contributions(residual, image), [], []
    for k, name in enumerate(parts.blocks):
        added.append(float(parts[name][0, church]))
        with rx.edited(residual, delete=name), torch.no_grad():
            logits = residual(image)[0]
        lost.append(float(parts.logits[0, church] - logits[church]))
        assert left.series[1].y[k] == pytest.approx(100 * float(logits.softmax(0)[church]), rel=1e-3)
    np.testing.assert_allclose(beside.series[0].y, added, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(beside.series[1].y, lost, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(both.series[1].y, lost, rtol=1e-3, atol=1e-4)
    assert np.flatnonzero(np.isnan(both.series[0].y)).tolist() == [2, 4, 6], "which change the shape"
    with torch.no_grad():
        whole = float(plain.eval()(image)[0, church])
        with rx.edited(plain, delete="layer2.1"):
            left_over = float(plain(image)[0, church])
    assert both.series[0].y[3] == pytest.approx(whole - left_over, rel=1e-3)
    ratio = np.abs(lost).mean() / np.abs(added).mean()
    assert ratio > 2, "later blocks answer to the loss"
    assert numbers(page.headline)[0] == pytest.approx(ratio, rel=0.05)
    assert len(page.headline.split()) <= 15
    assert numbers(beside.note) == [4, round(abs(added[3]), 2), round(lost[3], 2)]


def test_the_answers_are_those_of_the_network_without_the_block(explorer, by_hand):
    _, residual, image, church = by_hand
    answers = shown(explorer, view="loss", block=7).below[0][1]
    with rx.edited(residual, delete="layer4.0"), torch.no_grad():
        expected = float(residual(image)[0].softmax(0)[church])
    assert answers.answers[0].bars[1].share == pytest.approx(expected, rel=1e-3)
    assert answers.answers[0].bars[0].text == "–"
    assert "wrong shape" in answers.note
    assert shown(explorer, block=8).below[0][1].note == ""


def test_what_can_t_be_lost_is_no_stop_of_the_slider(explorer):
    shown(explorer, block=9)
    page = shown(explorer, view="loss")
    assert explorer.block == 8
    assert [choice.value for choice in page.sliders[0].choices] == list(range(1, 9))
    assert encode(explorer.page).local == ["block"]


def test_losses_beyond_all_measure_do_not_hide_the_others(explorer):
    losses = explorer.lab.losses("imagenette", 0, "temple", Silent())
    far = [losses.without[0].copy(), losses.without[1]]
    far[0][2] = -4000.0
    both = loss.charts(explorer.flow, replace(losses, without=tuple(far)), 4).charts[1]
    assert both.series[0].y[1] > 3000
    assert both.y.high < 20


class Silent:
    """A task that nobody waits for."""

    def say(self, sentence):
        """Tell nobody."""

    def check(self):
        """Go on."""


def test_a_rival_that_no_menu_shows_refuses_no_class(explorer):
    shown(explorer, rival=3)
    shown(explorer, view="loss", target=3)
    assert (explorer.target, explorer.rival) == (3, None)


# --- how early ----------------------------------------------------------------------------------------------


def test_what_probes_read_is_what_is_recorded_and_what_they_say(explorer):
    page = shown(explorer, view="early", networks="digits", depth=20, image="digits/3", block=4)
    right, probed, said = charts(page)
    rows = load_probe_accuracies("digits").query("depth == 20")
    for series, network in zip(right.series, ("cifar_plain20", "cifar_resnet20"), strict=True):
        by_place = rows[rows["network"] == network].groupby("place")["accuracy"]
        np.testing.assert_allclose(series.y, by_place.mean())
        np.testing.assert_allclose(series.low, by_place.min())
    image = rx.load_dataset("digits", "test").normalized(slice(3, 4))
    target = explorer.flow.first(None)
    for series, network in zip(probed.series, ("cifar_plain20", "cifar_resnet20"), strict=True):
        net = rx.build(network, weights="digits")
        logits = rx.load_probes("digits", network).logits(net, image)[:, 0]
        np.testing.assert_allclose(series.y, 100 * logits.softmax(1)[:, target], rtol=1e-3, atol=1e-3)
    assert len(said.series[0].x) == len(right.series[0].x) == 10
    assert numbers(page.headline) == [4, round(right.series[0].y[4]), round(right.series[1].y[4])]
    assert len(page.headline.split()) <= 15
    bars = page.below[0][1].answers[0].bars
    assert [100 * bar.share for bar in bars] == pytest.approx([s.y[4] for s in probed.series])


def test_without_probes_the_tab_says_why(explorer):
    shown(explorer, networks="cifar10", depth=32)
    tab = explorer.page.tabs.choices[3]
    assert tab.missing == "Probes ship of these twins with 20 and 56 layers"
    with pytest.raises(rx.ExploreError, match="with 20 and 56 layers"):
        explorer.view = "early"
    page = shown(explorer, view="early", depth=56)
    assert [choice.value for choice in page.sliders[1].choices] == [20, 56]
    own = rx.StreamExplorer(rx.build("cifar_resnet8"), torch.randn(1, 3, 32, 32))
    with pytest.raises(rx.ExploreError, match="linear_probes"):
        own.view = "early"


# --- what the notebook says ---------------------------------------------------------------------------------


def prose():
    cells = json.loads(shipped("notebooks", "07_stream.ipynb").read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def test_the_notebook_says_what_blocks_keep(explorer):
    kept, said = charts(shown(explorer, view="skip"))[2], prose()
    plain, residual = ((np.nanmin(series.y), np.nanmax(series.y)) for series in kept.series)
    assert f"by a cosine of {residual[0]:.2f} to {residual[1]:.2f}. In the plain network it is" in said
    assert f"{plain[0]:.2f} to {plain[1]:.2f}: each block" in said
    assert "from block 5 on, less than half as long" in said
    for digit in range(3):
        page = shown(explorer, view="skip", networks="digits", depth=56, image=f"digits/{digit}")
        assert charts(page)[0].series[0].y[4:].max() < 0.5


def test_the_notebook_says_what_is_lost_without_a_block(explorer):
    page, said = shown(explorer, view="loss"), prose()
    beside, _, left = charts(page)
    added, lost = (series.y for series in beside.series)
    logit = explorer.flow.logits[explorer.flow.first(None)]
    assert f"changes the logit {np.abs(lost).mean() / np.abs(added).mean():.1f} times as much" in said
    assert (
        f"next to nothing: −{-added[3]:.2f}. Its loss takes {lost[3]:.2f} of the logit's {logit:.2f}" in said
    )
    assert f"It had added {added[7]:.2f}, and its loss takes {lost[7]:.2f}" in said
    most, least = np.nanmax(left.series[0].y), left.series[1].y.min()
    assert (
        f"at most {most:.0f} % are left for *church*. The residual network keeps at least {least:.0f} %"
        in said
    )


def test_the_notebook_says_what_probes_read():
    said = prose()
    digits = load_probe_accuracies("digits").groupby(["depth", "kind", "place"])["accuracy"].mean()
    deep = {kind: digits[56, kind] for kind in ("plain", "residual")}
    residual, plain = deep["residual"], deep["plain"]
    assert f"Behind the stem probes get {residual[0]:.0f} % of the test images right" in said
    assert f"behind block 14 they get {residual[14]:.0f} %, and at the end {residual[27]:.0f} %" in said
    assert (
        f"{plain[0]:.0f} % behind the stem, {plain[14]:.0f} % behind block 14, {plain[27]:.0f} % at" in said
    )
    assert min(digits[20, kind].iloc[-1] for kind in deep) > 96
    assert f"At 110 the plain network ends at {digits[110, 'plain'].iloc[-1]:.0f} %" in said
    photos = load_probe_accuracies("cifar10").query("depth == 56").set_index(["kind", "place"])["accuracy"]
    ends = [photos[kind].iloc[-1] for kind in ("plain", "residual")]
    assert f"end at {ends[0]:.0f} % in the plain and {ends[1]:.0f} % in the residual one" in said
    assert all(np.corrcoef(range(28), photos[kind])[0, 1] > 0.9 for kind in ("plain", "residual"))


def test_early_a_probe_reads_what_the_networks_own_head_does_not(explorer):
    _, probed, said = charts(shown(explorer, view="early", networks="digits", depth=56, image="digits/0"))
    assert probed.series[1].y[:5].mean() > 70 > 20 > said.series[1].y[:5].mean()


# --- networks of others -------------------------------------------------------------------------------------


def test_a_vision_transformer_is_taken_apart_and_loses_blocks():
    torch.manual_seed(0)
    net = torchvision.models.VisionTransformer(
        image_size=64, patch_size=16, num_layers=3, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5
    )
    image = torch.randn(1, 3, 64, 64)
    page = shown(rx.StreamExplorer(net, image, view="loss"))
    assert "No block had added anything" in page.headline, "its head begins with zeros"
    nn.init.normal_(net.heads.head.weight)
    explorer = rx.StreamExplorer(net, image)
    page = shown(explorer, view="loss", block=3)
    assert explorer.flow.error < 1e-4
    assert [choice.tip for choice in page.sliders[0].choices] == list(explorer.flow.places[1:-1])
    beside = charts(page)[0]
    assert np.isfinite(beside.series[1].y).all()
    assert beside.series[1].y[:2] != pytest.approx(beside.series[0].y[:2], rel=0.01)


def test_blocks_without_a_skip_that_come_first_are_no_places_and_others_may_not_go():
    torch.manual_seed(0)
    net = torchvision.models.mobilenet_v3_small(num_classes=5)
    explorer = rx.StreamExplorer(net, torch.randn(1, 3, 64, 64))
    page = shown(explorer, view="loss")
    beside, stays = charts(page)[0], np.isnan(charts(page)[0].series[1].y)
    assert len(beside.series[1].y) == len(beside.series[0].y) == explorer.flow.blocks
    assert stays.any()
    assert not stays.all()
    added, lost = (np.abs(series.y[~stays]).mean() for series in beside.series)
    assert loss.ratio(
        explorer.flow, explorer.lab.losses("own", 0, "image-0", Silent()), explorer.flow.first(None)
    ) == pytest.approx(lost / added)
    assert "can't go" in charts(shown(explorer, block=int(stays.argmax()) + 1))[0].note


class Tokens(nn.Module):
    """Reads its first token."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, 4)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        return self.fc(self.layers(self.stem(x).flatten(2).mT)[:, 0])


def test_without_a_mean_over_places_the_page_says_why_there_is_no_map():
    torch.manual_seed(0)
    explorer = rx.StreamExplorer(Tokens(), torch.randn(1, 3, 16, 16))
    page = shown(explorer)
    assert "can't be said" in page.below[0][0].paragraphs[0]
    assert explorer.flow.error < 1e-4


def test_files_and_code(explorer, tmp_path):
    rows = list(csv.DictReader(explorer.save(tmp_path / "stream.csv").read_text().splitlines()))
    assert len(rows) > 20
    assert explorer.save(tmp_path / "stream.png").stat().st_size > 10_000
    shown(explorer, target=8)
    assert explorer.code.splitlines()[-1] == "rx.StreamExplorer(guess=True, target=8)"
    assert called(explorer).error < 1e-4
    church = 4
    shown(explorer, view="loss", target=None)
    lost = charts(shown(explorer))[0].series[1].y
    np.testing.assert_allclose(called(explorer).lost[:, 0, church], lost, rtol=1e-3, atol=1e-4)
    probed = charts(shown(explorer, view="early", networks="digits", depth=8))[1].series[1].y
    shares = called(explorer).softmax(-1)[:, 0, explorer.flow.first(None)]
    np.testing.assert_allclose(100 * shares, probed, rtol=1e-3, atol=1e-3)


def called(explorer):
    """What the code says that stands under *Copy*, *Call*."""
    lines, found = explorer.call.replace("{depth}", str(explorer.depth)).splitlines(), {}
    exec("\n".join([*lines[:-1], f"found = {lines[-1]}"]), found)
    return found["found"]


def test_sentences_are_those_that_were_read(explorer):
    page, said = shown(explorer), []
    for block in range(10):
        page = shown(explorer, block=block)
        answers = page.below[0][1]
        said += [page.headline, answers.label, answers.note, page.below[0][0].alt]
    said += [page.why, *page.conditions, *page.glossary.values()]
    asked = page.question
    said += [asked.text, asked.rule, asked.told, asked.why, *(choice.label for choice in asked.choices)]
    said += [chart.note for chart in charts(page) if chart.note]
    for view, more in (
        ("skip", {"block": 4}),
        ("loss", {"block": 4}),
        ("early", {"networks": "digits", "depth": 56, "block": 14}),
    ):
        page = shown(explorer, view=view, **more)
        answers = page.below[0][1]
        said += [page.headline, page.why, answers.label, page.below[0][0].steps.maps[0].heading]
        said += [chart.title for chart in charts(page)]
        said += [chart.note for chart in charts(page) if chart.note]
        said += page.conditions[:3]
    said += [choice.tip for choice in page.tabs.choices]
    assert_kept("stream", dict.fromkeys(filter(None, said)))
