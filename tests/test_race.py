"""Several networks in lock step: as each alone, rewound to the bit, changed and retired on the way."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import resnet_explore as rx
from resnet_explore.models.skip_strength import give_skips, take_skips_back
from resnet_explore.training.entrants import read_entrant
from resnet_explore.training.race import Change, Race


@pytest.fixture(scope="module")
def digits():
    return rx.load_dataset("digits"), rx.load_dataset("digits", "test")


def race_of(digits, *networks, **more):
    given = {"every": 3, "sample": 40, "batch_size": 16, "seed": 3} | more
    return Race(networks or ("plain-8", "residual-8"), *digits, **given)


def same_curves(one, other):
    for part in ("steps", "loss", "error", "gradients", "held_out_steps", "held_out_loss", "held_out_error"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part), err_msg=part)


def weights(race):
    return {name: model.state_dict() for name, model in race.models.items()}


def same_weights(one, other):
    for name, tensors in one.items():
        for key, tensor in tensors.items():
            assert torch.equal(tensor, other[name][key]), f"{name}: {key}"


def copied(race):
    return {name: {k: v.clone() for k, v in each.items()} for name, each in weights(race).items()}


# --- against slow loops -------------------------------------------------------------------------------------


def test_the_first_steps_are_those_of_a_plain_loop(digits):
    train, _ = digits
    race = race_of(digits, "residual-8")
    race.advance(4)
    config = rx.ResNetConfig(
        depths=(1, 1, 1), widths=(8, 16, 32), stem="cifar", shortcut="padding", in_channels=1, num_classes=10
    )
    model = rx.build(config, seed=3).train()
    momentum = {p: torch.zeros_like(p) for p in model.parameters()}
    random, losses, errors, norms = torch.Generator().manual_seed(3), [], [], []
    for _ in range(4):
        chosen = torch.randperm(len(train), generator=random)[:16]
        pixels = (train.images[chosen] / 255 - train.mean[0]) / train.std[0]
        logits = model(pixels)
        loss = F.cross_entropy(logits, train.labels[chosen])
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        by_name = dict(zip([n for n, _ in model.named_parameters()], gradients, strict=True))
        layers = [
            f"{n}.weight"
            for n in ("conv1", *(f"layer{s}.0.conv{k}" for s in (1, 2, 3) for k in (1, 2)), "fc")
        ]
        norms.append([float(by_name[name].norm()) for name in layers])
        losses.append(loss.item())
        errors.append(100 * float((logits.argmax(1) != train.labels[chosen]).float().mean()))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                momentum[parameter] = 0.9 * momentum[parameter] + gradient
                parameter -= 0.04 * momentum[parameter]
    curve = race.curves["residual-8"]
    np.testing.assert_allclose(curve.loss, losses, rtol=2e-4)
    np.testing.assert_allclose(curve.error, errors, atol=1e-3)
    np.testing.assert_allclose(curve.gradients, norms, rtol=5e-3)
    assert [f"{layer}.weight" for layer in curve.layers] == layers


def test_in_lock_step_each_trains_as_alone(digits):
    together = race_of(digits, "plain-8", "residual-8", "residual-8 dropout=0.5")
    together.advance(4)
    for name in together.names:
        alone = race_of(digits, name)
        alone.advance(4)
        same_curves(together.curves[name], alone.curves[name])
        same_weights(weights(alone), weights(together))


def test_held_out_error_is_that_of_images_spread_evenly_in_eval_mode(digits):
    test = digits[1]
    race = race_of(digits, sample=40)
    race.advance(3)
    curve = race.curves["plain-8"]
    assert list(curve.held_out_steps) == [0, 3]
    model = race.models["plain-8"].eval()
    chosen = torch.tensor([int(k * (len(test) - 1) / 39) for k in range(40)])
    with torch.no_grad():
        logits, labels = model(test.normalized(chosen)), test.labels[chosen]
    wrong = 100 * (logits.argmax(1) != labels).float().mean().item()
    assert curve.held_out_error[-1] == pytest.approx(wrong, abs=1e-4)
    assert curve.held_out_loss[-1] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-4)


# --- rewinding ----------------------------------------------------------------------------------------------


def test_a_rewound_race_goes_on_to_the_bit_as_it_went(digits):
    race = race_of(digits, "plain-8", "residual-8 dropout=0.3")
    race.advance(8)
    before, after = race.curves, copied(race)
    race.rewind(3)
    assert race.steps == 3
    assert race.kept == (0, 3)
    assert len(race.curves["plain-8"].steps) == 3
    race.advance(5)
    for name in race.names:
        same_curves(race.curves[name], before[name])
    same_weights(after, weights(race))
    race.rewind()
    assert [len(curve.steps) for curve in race.curves.values()] == [0, 0]
    race.advance(8)
    same_weights(after, weights(race))


def test_many_places_are_thinned_evenly_and_the_first_stays(digits, monkeypatch):
    monkeypatch.setattr("resnet_explore.training.race.KEPT", 5)
    race = race_of(digits, "plain-8", every=1)
    race.advance(12)
    assert race.kept == (0, 4, 8, 12)
    monkeypatch.setattr("resnet_explore.training.race._KEPT_BYTES", 1.0)
    race.advance(12)
    assert race.kept == (0, 8, 16, 24)


def test_a_rewound_race_keeps_places_as_close_as_a_new_one(digits, monkeypatch):
    monkeypatch.setattr("resnet_explore.training.race.KEPT", 5)
    race = race_of(digits, "plain-8", every=1)
    race.advance(12)
    race.rewind(0)
    race.advance(3)
    assert race.kept == (0, 1, 2, 3)
    race.advance(5)
    assert race.kept == (0, 2, 4, 6, 8)


def test_only_kept_steps_can_be_gone_back_to(digits):
    race = race_of(digits)
    race.advance(4)
    with pytest.raises(rx.ExploreError, match="Unknown kept step 2"):
        race.rewind(2)


# --- changes ------------------------------------------------------------------------------------------------


def test_changes_count_from_the_next_step_and_are_noted(digits):
    race = race_of(digits)
    race.advance(3)
    race.lr = 0.01
    race.set_skips(0)  # of all: the plain network has some now, which carry nothing
    assert race.changes == []
    race.advance(3)
    assert race.changes == [
        Change(3, "lr", 0.04, 0.01),
        Change(3, "plain-8", None, 0.0),
        Change(3, "residual-8", 1.0, 0.0),
    ]
    assert [curve.skip for curve in race.curves.values()] == [0.0, 0.0]
    race.rewind(3)
    assert (race.lr, race.skips, race.changes) == (0.04, {"plain-8": None, "residual-8": 1.0}, [])


def test_a_rate_that_is_changed_changes_the_next_step_alone(digits):
    race, other = race_of(digits, "residual-8"), race_of(digits, "residual-8")
    race.advance(3), other.advance(3)
    other.lr = 0.4
    race.advance(2), other.advance(2)
    mine, theirs = race.curves["residual-8"].loss, other.curves["residual-8"].loss
    np.testing.assert_array_equal(mine[:4], theirs[:4])
    assert mine[4] != theirs[4]


def test_skips_are_given_to_a_plain_network_and_taken_back(digits):
    images = digits[0].normalized(slice(0, 8))
    for order in ("post", "pre"):
        config = read_entrant(f"plain-14 order={order}").config(1, 10, 8)
        plain, residual = rx.build(config, seed=1), rx.build(config.replace(residual=True), seed=1)
        with torch.no_grad():
            expected = {"plain": plain(images), "residual": residual(images)}
            assert not torch.allclose(expected["plain"], expected["residual"])
            give_skips(plain)
            torch.testing.assert_close(plain(images), expected["residual"])
            give_skips(plain, 0.0)
            torch.testing.assert_close(plain(images), expected["plain"])
            take_skips_back(plain, config)
            assert torch.equal(plain(images), expected["plain"])
        assert plain.config == config


def test_a_race_goes_on_after_skips_were_given(digits):
    race = race_of(digits, "plain-8")
    race.set_skips(1, "plain-8")
    race.advance(3)
    twin = race_of(digits, "residual-8")
    twin.advance(3)
    np.testing.assert_allclose(race.curves["plain-8"].loss, twin.curves["residual-8"].loss, rtol=1e-5)
    race.set_skips(None, "plain-8")
    race.advance(1)
    assert race.models["plain-8"].config == race.configs["plain-8"]


def test_skips_that_cannot_be_change_nothing(digits):
    race = race_of(digits)
    race.set_skips(0.5)
    with pytest.raises(rx.ExploreError, match="residual-8 is a residual network"):
        race.set_skips(None)
    assert race.skips == {"plain-8": 0.5, "residual-8": 0.5}
    config = read_entrant("residual-8").config(1, 10, 8)
    res2net = config.replace(residual=False, block="bottleneck", scales=4)
    race = Race({"mine": config, "res2net": res2net}, *digits, batch_size=8, sample=10)
    with pytest.raises(rx.ExploreError, match="`scales` are above 1"):
        race.set_skips(0.5)
    assert race.skips == {"mine": 1.0, "res2net": None}
    assert race.advance(1) == 1
    assert race.changes == []


# --- what goes wrong ----------------------------------------------------------------------------------------


def test_who_diverges_leaves_and_the_others_go_on(digits):
    race = race_of(digits, "plain-8 norm=none", "residual-8")
    race.advance(2)
    with torch.no_grad():
        race.models["plain-8 norm=none"].fc.weight.fill_(float("inf"))
    race.advance(4)
    left, other = race.curves.values()
    assert (left.broke_at, other.broke_at) == (2, None)
    assert (len(left.steps), len(other.steps)) == (3, 6)
    assert not np.isfinite(left.loss[-1])
    assert race.running == ("residual-8",)
    race.rewind(0)
    assert race.curves["plain-8 norm=none"].broke_at is None


def test_a_race_without_anybody_left_ends(digits):
    race = race_of(digits, "plain-8 norm=none", lr=1e30)
    assert race.advance(40) < 40
    assert race.running == ()


def test_a_race_is_stopped_and_watched(digits):
    race, seen = race_of(digits), []
    assert race.advance(9, stop=lambda: race.steps == 2, watch=lambda: seen.append(race.steps)) == 2
    assert seen == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("networks", "says"),
    [
        ((), "one to 4 networks, not 0"),
        (("plain-8",) * 5, "twice"),
        (("plain-8", "plain-14", "plain-20", "residual-8", "residual-14"), "one to 4 networks, not 5"),
        (("plain-9",), "6n\\+2"),
        (("plain-200",), "at most 110 layers"),
        (("plain",), "has no depth"),
        (("plane-8",), "did you mean 'plain'"),
        (("",), "is a text such as"),
        (("residual-8 skp=1",), "did you mean 'skip'"),
        (("residual-8 skip=x",), "needs skip as a number"),
        (("residual-8 skip=0.5 skip=1",), "says skip twice"),
        (("residual-8 skip=-1",), "needs skip as a number"),
        (("residual-8 norm=layer",), "can't be"),
        (("residual-8 init=fixup norm=batch",), "needs norm='none'"),
        (("plain-8 skip=0.5",), "no skips to which skip applies"),
        ("plain-8", "must be texts"),
        ({"mine": 3}, "must be a ResNetConfig"),
    ],
)
def test_networks_that_cannot_race(digits, networks, says):
    with pytest.raises(rx.ExploreError, match=says):
        Race(networks, *digits)


@pytest.mark.parametrize(
    "given",
    [
        {"lr": 0},
        {"lr": float("nan")},
        {"lr": True},
        {"batch_size": 0},
        {"every": 1.5},
        {"sample": True},
        {"seed": 1.5},
        {"seed": -1},
        {"seed": 2**70},
        {"seed": "0"},
    ],
    ids=str,
)
def test_numbers_that_cannot_be(digits, given):
    with pytest.raises(rx.ExploreError, match=next(iter(given))):
        race_of(digits, **given)


def test_held_out_images_of_another_kind(digits):
    with pytest.raises(rx.ExploreError, match="Held-out images must be of the kind"):
        Race(("plain-8",), digits[0], rx.load_dataset("xor", "test"))


def test_networks_that_need_more_memory_than_there_is(digits, monkeypatch):
    monkeypatch.setattr("resnet_explore.training.race.free_memory", lambda _: 1_000_000)
    with pytest.raises(rx.ExploreError, match="1 MB are free"):
        race_of(digits)
    monkeypatch.setattr("resnet_explore.training.race.free_memory", lambda _: 30_000_000)
    race_of(digits)  # which is less than twice a rough guess, and enough


@pytest.mark.parametrize(
    "text",
    [
        "plain-56",
        "residual-20 skip=0.5 norm=group",
        "residual-8 init=fixup",
        "residual-8 branch=0.5 order=pre width=4",
        "residual-8 shortcut=projection_all gate=exclusive bias=-3 dropout=0.5",
        "residual-8 skip=0.1234567 branch=1e-07",
    ],
)
def test_a_network_is_written_as_it_is_read(text):
    entrant = read_entrant(text)
    assert sorted(str(entrant).split()) == sorted(text.split())
    assert read_entrant(str(entrant)) == entrant


def test_the_table_has_a_row_for_each_network_and_step(digits):
    race = race_of(digits)
    race.advance(3)
    table = race.table()
    assert list(table.columns) == ["network", "step", "loss", "error", "held_out_loss", "held_out_error"]
    assert len(table) == 2 * 4
    assert table["held_out_error"].notna().sum() == 2 * 2
