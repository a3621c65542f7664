"""The heatmap panel's Python side: what is sent, what is refused, its colours."""

import io
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

import resnet_explore as rx
from resnet_explore.figures.heatmaps import PALETTES, SIGNS
from resnet_explore.widgets.core.heatmap_panel import Heatmap, Heatmaps, SeenBy, step
from resnet_explore.widgets.core.view import Over, View, encode, settled


@dataclass(frozen=True)
class Look:
    block: int = 1
    opacity: float = 0.75
    palette: str = "red and blue"
    shared: bool = False


def black(width=64, height=64):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def panel(steps, **more):
    given = {"together": 1.0, "unit": "logits", "meaning": "{plus} speaks for it, {minus} against it"}
    return Heatmaps("maps", black(), "black", steps, **given | more)


def two(seed=0, size=(3, 5)):
    random = np.random.default_rng(seed)
    seen = SeenBy(0.5 / 32, 4 / 32, 9 / 32, 9)
    left = Heatmap(random.normal(size=size), "Plain", "asked about cat", "plain", seen)
    return [left, Heatmap(random.normal(size=size), "Residual", "asked about cat", "residual")]


def test_maps_travel_as_numbers_and_can_be_read_back():
    steps = [step(two(k, size), f"{k}.0") for k, size in enumerate([(3, 5), (2, 4)])]
    sent = encode(View(panels=((panel(Over("block", dict(enumerate(steps, 1)))),),)))
    assert "block" in sent.local
    assert "opacity" in sent.local
    tree = sent.tree["panels"][0][0]["steps"]
    for one, entry in zip(steps, tree["each"], strict=True):
        for heat, described in zip(one.maps, entry["maps"], strict=True):
            array = described["values"]
            numbers = np.frombuffer(sent.buffers[array["$array"]], "<f4").reshape(array["shape"])
            np.testing.assert_array_equal(numbers, heat.values)
        assert entry["scale"] == pytest.approx(max(np.abs(heat.values).max() for heat in one.maps))
    assert tree["each"][0]["maps"][0]["seen_by"]["pixels"] == 9
    assert tree["each"][0]["maps"][1]["seen_by"] is None


def test_what_is_no_number_does_not_set_the_scale():
    maps = two()
    maps[0].values[:] = np.nan
    maps[1].values[:] = [[np.inf, -3.0, 0.0, 0.0, 0.0]] * 3
    assert step(maps, "").scale == 3.0
    maps[1].values[:] = np.nan
    assert step(maps, "").scale == 0.0
    cut = step(two(), "", scale=0.01)
    assert cut.beyond


@pytest.mark.parametrize("values", [np.zeros((2, 3), int), np.zeros(3), [[1.0]], np.zeros((0, 2))])
def test_what_is_no_map_is_refused(values):
    with pytest.raises(rx.ExploreError, match="A heatmap must be an array of float"):
        Heatmap(values, "Plain")


def test_a_saved_picture_holds_what_is_seen_and_a_table_its_numbers(tmp_path):
    from resnet_explore.figures.style import new_figure

    shown = settled(panel(step(two(), "3.1")), Look(palette="brown and teal", shared=True))
    figure = new_figure(900, shown.height)
    shown.draw(figure)
    figure.savefig(tmp_path / "a.svg")
    words = (tmp_path / "a.svg").read_text()
    for said in ("Plain, asked about cat", "logits. Brown speaks for it, teal against it."):
        assert said in words
    rows = list(shown.numbers())
    assert len(rows) == 30
    assert rows[-1] == {
        "map": "3.1",
        "network": "Residual",
        "row": 2,
        "column": 4,
        "logits": float(shown.steps.maps[1].values[2, 4]),
    }
    np.testing.assert_array_equal(shown.arrays()["3.1/Plain"], shown.steps.maps[0].values)


@pytest.mark.parametrize("name", PALETTES)
def test_palettes_are_bare_at_0_and_grow_without_a_step(name):
    assert " and ".join(SIGNS[name]) == name
    table = PALETTES[name].astype(int)
    assert table.shape == (256, 4)
    assert table[127:129, 3].max() < 6
    assert (table[[0, 255], 3] == 255).all()
    sides = table[:128], table[128:]
    for side in sides:
        assert np.abs(np.diff(side, axis=0)).max() <= 8
    # The two signs never look alike.
    assert np.abs(sides[0][:100, :3] - sides[1][::-1][:100, :3]).sum(1).min() > 60
