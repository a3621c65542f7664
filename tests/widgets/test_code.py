"""The code of an explorer is a cell that runs as it stands and opens what is shown."""

import io

import pytest
import torch
from PIL import Image
from torch import nn

import resnet_explore as rx
from resnet_explore.training.recorded import list_records
from resnet_explore.widgets.core.view import settled
from resnet_explore.widgets.core.words import listed

pytestmark = pytest.mark.usefixtures("unjudged", "seen_only")
EXPLORERS = ["Architecture", "Degradation", "FeatureMap", "GradientFlow", "Landscape", "Saliency", "Skip"]
PLACES = [
    ("Architecture", {"view": "depth", "series": "cifar", "depth": 20}),
    ("Architecture", {"left": "resnet18", "opened": (1, 2)}),
    ("Degradation", {"data": "cifar10", "view": "responses", "depth": 20}),
    ("Degradation", {"depth": 20, "sort": (1, -1)}),
    ("FeatureMap", {"networks": "digits", "view": "parts", "depth": 32, "block": 3, "channel": 2}),
    ("GradientFlow", {"view": "skip", "depth": 8, "norm": "none", "strength": 0.3}),
    ("GradientFlow", {"view": "guess", "question": 3}),
    ("Landscape", {"view": "contours", "plane": "training", "step": 3}),
    ("Saliency", {"networks": "cifar10", "depth": 14, "block": 2, "method": "hirescam", "target": 3}),
    ("Saliency", {"networks": "cifar10", "depth": 8, "view": "weights", "stage": "fc", "opacity": 0.5}),
    ("Skip", {"depth": 8, "deleted": (), "cut": (2,), "skip": 0.5}),
    ("Skip", {"networks": "imagenette", "view": "inside", "block": 2, "deleted": (3,)}),
]


def run(code, **given):
    """Run a cell as a notebook does and return what it would show."""
    names = dict(given)
    *lines, last = code.splitlines()
    try:
        exec("\n".join(lines), names)
        return eval(last, names)
    except rx.ExploreError:
        names["explorer"].close()  # which would go on computing
        raise


def same(one, other):
    for each in (one, other):
        assert each.wait(120)
        assert each.problem == ""
    assert other.state == one.state
    assert other.page.headline == one.page.headline


@pytest.mark.parametrize("name", EXPLORERS)
def test_a_new_explorer_has_nothing_to_say(name):
    explorer = getattr(rx, f"{name}Explorer")()
    assert explorer.wait(120)
    assert explorer.code == f"import resnet_explore as rx\n\nrx.{name}Explorer()"
    explorer.close()


@pytest.mark.parametrize(("name", "place"), PLACES, ids=[f"{n}-{next(iter(p))}" for n, p in PLACES])
def test_the_code_of_any_place_opens_it(name, place):
    explorer = getattr(rx, f"{name}Explorer")(**place)
    again = run(explorer.code)
    same(explorer, again)
    for each in (explorer, again):
        each.close()


@pytest.fixture
def called():
    """Returns an explorer, and what the code behind its numbers gives, run as it stands."""
    opened = []

    def call(name, **place):
        explorer = getattr(rx, f"{name}Explorer")(**place)
        opened.append(explorer)
        assert explorer.wait(120)
        return explorer, run(explorer.call)

    yield call
    for explorer in opened:
        explorer.close()


def test_the_call_behind_gradients_measures_what_is_shown(called):
    place = {"depth": 8, "norm": "none", "mode": "eval"}
    explorer, flows = called("GradientFlow", **place)
    name = "gradient norm of the weights"
    numbers = explorer.numbers(settled(explorer.page, explorer.state))["profiles"]
    rows = [row for row in numbers if name in row]
    for title, flow in zip(("Plain", "Residual"), flows, strict=True):
        shown = [row[name] for row in rows if row["series"].startswith(title)]
        assert shown == pytest.approx(flow.weight_gradient_norms, rel=1e-4)


def test_the_call_behind_skips_of_a_strength(called):
    explorer, flow = called("GradientFlow", view="skip", depth=8, strength=0.3)
    assert "skip_scale=0.3" in explorer.call
    assert len(flow.weight_gradient_norms) == 8


@pytest.mark.parametrize(
    "place",
    [
        {"view": "jacobians", "depth": 8},
        {"view": "claims", "claim": "branch-over-skip"},
        {"source": "digits"},
    ],
    ids=lambda place: next(iter(place)),
)
def test_calls_behind_other_views_of_gradients_run(called, place):
    assert called("GradientFlow", **place)[1] is not None


@pytest.mark.parametrize("view", ["errors", "gradients", "responses", "paper"])
def test_the_call_behind_a_record_reads_it(called, view):
    _, table = called("Degradation", view=view)
    assert set(table.reset_index()["kind"]) == {"plain", "residual"}


def test_the_call_behind_heatmaps_gives_those_maps(called):
    explorer, maps = called("Saliency", networks="cifar10", depth=8, image="cat", method="hirescam", target=3)
    shown = {name: array for name, array in explorer.arrays(explorer.page).items() if name.startswith("8/")}
    for kind, each in zip(("Plain-8", "Residual-8"), maps, strict=True):
        for block, map_ in each.maps.items():
            assert shown[f"8/{block}/{kind}"] == pytest.approx(map_[0].numpy(), abs=1e-5)


def test_the_call_behind_pixels_and_comparisons_runs(called):
    _, found = called("Saliency", networks="cifar10", depth=8, image="cat", method="saliency", target=3)
    assert found[0].maps.shape[-2:] == (32, 32)
    place = {"networks": "cifar10", "depth": 8, "image": "cat", "target": 3, "rather": 5}
    assert "Difference(3, 5)" in called("Saliency", **place)[0].call


@pytest.mark.parametrize(
    "place", [{}, {"view": "parts"}, {"networks": "digits", "image": "digits/3", "depth": 8}]
)
def test_the_call_behind_feature_maps_runs(called, place):
    assert len(called("FeatureMap", **place)[1])


def test_the_call_behind_an_edit_gives_its_answers(called):
    _, answers = called("Skip", depth=8, deleted=(2,), cut=(1,), skip=0.5, branch=1.1)
    _, unedited = called("Skip", depth=8, deleted=())
    model = rx.build("cifar_resnet8", weights="digits")
    image = rx.load_dataset("digits", split="test").normalized(slice(0, 1))
    torch.testing.assert_close(unedited["residual"], model(image).softmax(1))
    names = [block.name for block in rx.structure(model, (1, 8, 8)).blocks]
    skip = {names[0]: 0.0, names[1]: 0.5, names[2]: 0.5}
    with rx.edited(model, delete=[names[1]], skip=skip, branch={"*": 1.1}):
        torch.testing.assert_close(answers["residual"], model(image).softmax(1))


def test_the_call_behind_two_networks_describes_them(called):
    explorer, found = called("Architecture", left="resnet18")
    assert [each.parameters for each in found] == [
        rx.describe(rx.build(name)).parameters for name in ("resnet18", explorer.state.right)
    ]


def test_what_was_given_has_no_call():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    )
    explorer = rx.FeatureMapExplorer(model, torch.rand(2, 3, 24, 40))
    assert explorer.wait(60)
    assert explorer.call == ""
    explorer.close()


@pytest.mark.parametrize("name", ["FeatureMap", "Saliency"])
def test_an_uploaded_photo_is_asked_for_by_its_path(name, tmp_path, monkeypatch):
    buffer = io.BytesIO()
    Image.effect_noise((60, 40), 50).convert("RGB").save(buffer, "PNG")
    explorer = getattr(rx, f"{name}Explorer")()
    detail = {"name": "my cat.png", "batch": 1}
    explorer._hear(explorer, {"act": "image.upload", "detail": detail}, [buffer.getvalue()])
    explorer.update(block=2)
    assert explorer.wait(120)
    assert "upload-" not in explorer.code
    (note,) = explorer.notes_in_code()
    assert note.startswith("my cat.png: ")
    assert f"\n# {note}\n" in explorer.code
    monkeypatch.chdir(tmp_path)
    with pytest.raises(rx.ExploreError, match=r"There is no file 'my cat\.png'"):
        run(explorer.code)
    (tmp_path / "my cat.png").write_bytes(buffer.getvalue())
    again = run(explorer.code)
    same(explorer, again)
    saved = explorer.save(tmp_path / "rows.csv").read_text()
    assert "; explorer.show_image('my cat.png'); explorer.update(" in saved.replace("\n", " ")
    for each in (explorer, again):
        each.close()


def test_what_was_given_keeps_its_name():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    given = {"models": nn.Sequential(*layers), "images": torch.rand(2, 3, 24, 40)}
    classes = ["cat", "dog"]
    explorer = rx.SaliencyExplorer(**given, classes=classes, image="image-1")
    again = run(explorer.code, **given, classes=classes)
    same(explorer, again)
    assert f"\n# {listed([*given])}: " in explorer.code
    maps = rx.FeatureMapExplorer(**given, layers="1")
    same(maps, run(maps.code, **given))
    assert "rx.FeatureMapExplorer(models=models, images=images, layers='1')" in maps.code
    table = next(record for record in list_records() if record.name == "cifar10").table()
    runs = rx.DegradationExplorer()
    runs.show_table(table, "Mine", "ducks")
    runs.update(depth=20)
    same(runs, run(runs.code, table=table))
    assert "\n# table: " in runs.code
