"""Pages that need no Python: what is computed beforehand, what is greyed, and what is refused."""

import json
import re

import pytest

import resnet_explore as rx
from resnet_explore.errors import ExploreError
from resnet_explore.widgets.core.baked import scenes
from resnet_explore.widgets.core.packed import without_python
from resnet_explore.widgets.core.view import Choice, Group, Menu, Over, Slider, View, encode
from tests.widgets.made_up import PowerExplorer
from tests.widgets.pages import table, unpacked, whole


@pytest.fixture
def explorer():
    explorer = PowerExplorer()
    assert explorer.wait(20)
    yield explorer
    explorer.close()


def test_all_that_can_be_come_to_is_there_once(explorer):
    found = scenes(explorer, [explorer.state], explorer.bakes)
    places = {(s.state.view, s.state.base, s.made_for.get("power")) for s in found}
    curves = {("curve", base, None) for base in (2, 3, 7)}  # the slider moves there by itself
    words = {("words", base, 2) for base in (2, 3, 7)}  # power isn't varied
    assert places == curves | words | {("about", 2, None)}, "which has nothing to do with the base"
    assert len(found) == len(places)


def test_a_slider_that_asks_the_kernel_is_baked_where_it_is_varied(explorer):
    found = scenes(explorer, [explorer.state], {"view": None, "power": (1, 2)})
    assert {s.made_for["power"] for s in found if s.state.view == "words"} == {1, 2}


def test_what_fails_is_left_out_and_its_entry_says_where_it_works(explorer, tmp_path):
    first, arrays = unpacked(explorer.to_html(tmp_path / "page.html"))
    view = whole(first["scenes"][0]["tree"], first, arrays)
    menu = next(part for part in view["ask"] if part["kind"] == "menu")
    assert {choice["value"]: bool(choice["missing"]) for choice in menu["choices"]} == {
        2: False, 3: False, 5: True, 7: False,
    }  # fmt: skip
    assert "in the notebook" in menu["choices"][2]["missing"]


def test_a_first_view_that_fails_is_refused(explorer):
    with pytest.raises(ExploreError, match="Not 5"):
        scenes(explorer, [explorer.settled_from(explorer.state, {"base": 5})], {})


def test_a_listed_value_that_fails_is_left_out(explorer, tmp_path):
    page = table(explorer.to_html(tmp_path / "page.html", view="words", base=[7, 5, 3]))
    assert [scene["state"]["base"] for scene in page["scenes"]] == [7, 3]


def test_states_to_start_from_are_counted(explorer, monkeypatch):
    monkeypatch.setattr("resnet_explore.widgets.core.baked.MOST_VIEWS", 2)
    starts = [explorer.settled_from(explorer.state, {"base": base}) for base in (2, 3, 7)]
    assert len(scenes(explorer, starts[:2], {})) == 2
    with pytest.raises(ExploreError, match="more than 2 views: list fewer values"):
        scenes(explorer, starts, {})


def test_the_explorer_stays_as_it_was(explorer, tmp_path):
    before = explorer.state, explorer.page.headline
    explorer.to_html(tmp_path / "page.html", view="words", base=[7, 3])
    assert (explorer.state, explorer.page.headline) == before


def test_values_can_be_fixed_and_listed(explorer, tmp_path):
    page = table(explorer.to_html(tmp_path / "page.html", view="words", base=[7, 3]))
    states = [scene["state"] for scene in page["scenes"]]
    assert [(s["view"], s["base"]) for s in states] == [("words", 7), ("words", 3)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"base": 4},
        {"base": [2, 4]},
        {"base": []},
        {"base": [2, "two"]},
        {"view": ["curve", "sound"]},
        {"bse": 2},
    ],
    ids=str,
)
def test_what_there_is_not_is_refused_and_nothing_written(explorer, tmp_path, wrong):
    with pytest.raises(ExploreError):
        explorer.to_html(tmp_path / "page.html", **wrong)
    assert not [*tmp_path.iterdir()]


def test_the_size_is_said_and_a_limit_kept(explorer, tmp_path, capsys):
    with pytest.raises(ExploreError, match=r"limit_mb=0\.01"):
        explorer.to_html(tmp_path / "page.html", limit_mb=0.01)
    assert not [*tmp_path.iterdir()]
    page = explorer.to_html(tmp_path / "page.html")
    assert f"{page.stat().st_size / 1e6:.1f} MB, 7 views" in capsys.readouterr().out


def test_a_folder_that_is_a_file_is_said(explorer, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExploreError, match="can't be written"):
        explorer.to_html(tmp_path / "file" / "page.html")


def test_nothing_comes_from_elsewhere(explorer, tmp_path):
    page = explorer.to_html(tmp_path / "page.html").read_text()
    assert not re.findall(r"(?:src|href)=|@import|url\((?!#|\$)|fetch\(|https?://(?!www\.w3\.org/)", page)


def test_controls_keep_what_works_and_grey_the_rest(explorer):
    [first, *_] = scenes(explorer, [explorer.state], {"base": (2, 3)})
    view = without_python(first.view, first.can)
    menu, more, go = view.ask  # no upload any more
    assert [bool(choice.missing) for choice in menu.choices] == [False, False, True, True]
    assert all(control.missing for control in (*more.controls, go))
    assert [bool(choice.missing) for choice in view.tabs.choices] == [False, True, True]
    stops = [choice.value for choice in view.sliders[0].choices]
    assert stops == [1, 2, 3], "the page moves it by itself"


def test_controls_in_groups_and_behind_a_slider_are_found():
    menu = Menu("color", "Color", (Choice("red", "Red"), Choice("blue", "Blue")))
    view = View(
        below=((Group("group", (menu,)), None),),
        sliders=(Over("color", {"red": Slider("shade", "Shade", (Choice(1, "1"), Choice(2, "2")))}),),
    )
    shown = without_python(view, lambda name, value: value in ("red", 2))
    assert [bool(choice.missing) for choice in shown.below[0][0].parts[0].choices] == [False, True]
    assert [choice.value for choice in shown.sliders[0].each["red"].choices] == [2]


def test_what_views_share_is_packed_once(explorer, tmp_path):
    page = explorer.to_html(tmp_path / "page.html")
    text = json.dumps(table(page))
    assert text.count("<exact>") == 1, "three views have this condition"


def test_degradation_fits_a_megabyte(tmp_path, capsys):
    explorer = rx.DegradationExplorer()
    page = explorer.to_html(tmp_path / "page.html", limit_mb=1)
    seen = [scene["state"] for scene in table(page)["scenes"]]
    assert {state["view"] for state in seen} == {"errors", "gradients", "responses", "paper"}
    assert {"digits", "cifar10"} <= {state["data"] for state in seen}
    explorer.close()


@pytest.mark.parametrize(
    ("name", "place", "others"),
    [
        ("Skip", {"view": "edit", "depth": 8, "deleted": (1,)}, {"effect": "maps", "study": "count"}),
        ("Skip", {"view": "effects", "depth": 8, "deleted": (1,)}, {"study": "paths"}),
        ("Skip", {"view": "studies", "depth": 8, "deleted": ()}, {"effect": "heatmaps"}),
        (
            "Skip",
            {"view": "training", "depth": 8, "deleted": (1,)},
            {"deleted": (2, 3), "cut": (1,), "skip": 0.5, "branch": 0.5, "image": "digits/3", "depth": 20},
        ),
        (
            "GradientFlow",
            {"view": "layers", "depths": (8, 20), "depth": 8},
            {"claim": "shattered-line", "question": 3},
        ),
        ("GradientFlow", {"view": "guess", "question": 2}, {"mode": "eval", "depth": 8, "claim": "growth"}),
        (
            "GradientFlow",
            {"view": "claims", "claim": "branch-over-skip", "depths": (8, 20)},
            {"mode": "eval", "norm": "none", "depth": 8, "source": "digits"},
        ),
    ],
    ids=lambda value: value.get("view", "") if isinstance(value, dict) else value,
)
def test_a_view_does_not_depend_on_what_it_says_it_does_not_use(name, place, others):
    explorer = getattr(rx, f"{name}Explorer")(**place)
    for field, other in others.items():
        assert explorer.wait(120)
        assert field in explorer.unused(explorer.state)
        before = encode(explorer.page)
        explorer.update(**{field: other})
        assert explorer.wait(120)
        now = encode(explorer.page)
        assert now.buffers == before.buffers
        assert without_buttons(now.tree) == without_buttons(before.tree), field
    explorer.close()


def without_buttons(tree):
    """A view's tree without its buttons: that a change can be undone is no part of a page without Python."""
    if isinstance(tree, dict):
        return {k: without_buttons(v) for k, v in tree.items()} if tree.get("kind") != "button" else {}
    return [without_buttons(entry) for entry in tree] if isinstance(tree, list) else tree
