"""The heatmap view's Python side: what is sent, what is refused, what is saved."""

import io
import json

import numpy as np
import pytest

import resnet_explore as rx
from resnet_explore.figures.heatmaps import PALETTES
from resnet_explore.widgets.heatmaps import HeatmapSeries, HeatmapStep, HeatmapView, SeenBy


def series(tick="20", sizes=((3, 5), (2, 4)), seed=0):
    random = np.random.default_rng(seed)
    steps = [
        HeatmapStep(
            maps=[random.normal(size=size).astype(np.float32), random.normal(size=size)],
            tick=f"{k}.0",
            caption=f"Caption {k}.",
            seen_by=[SeenBy(0.5, 4.0, 9.0, 32), None],
        )
        for k, size in enumerate(sizes)
    ]
    return HeatmapSeries(
        steps,
        tick,
        f"Finding {tick}.",
        [f"Plain-{tick}, asked about cat", "Residual"],
        names=[f"Plain-{tick}", "Residual"],
    )


def test_maps_travel_as_numbers_and_can_be_read_back():
    view, shown = HeatmapView(), [series("8"), series("20", seed=1)]
    view.show(shown, picture=b"\x89PNG")
    numbers = np.frombuffer(view.maps, "<f4")
    for one, sent in zip(shown, view.series, strict=True):
        for position, step in zip(one.steps, sent["steps"], strict=True):
            for values, entry in zip(position.maps, step["maps"], strict=True):
                found = numbers[entry["at"] : entry["at"] + values.size].reshape(entry["h"], entry["w"])
                np.testing.assert_array_equal(found, values.astype("f4"))
            assert step["scale"] == pytest.approx(max(np.abs(m).max() for m in position.maps))
    assert numbers.size == sum(m.size for one in shown for p in one.steps for m in p.maps)
    first = view.series[0]["steps"][0]["maps"]
    assert first[0]["field"] == {"start": 0.5 / 32, "jump": 4 / 32, "size": 9 / 32, "pixels": 9}
    assert first[1]["field"] is None


def test_what_is_no_number_does_not_set_the_scale():
    view, one = HeatmapView(), series()
    one.steps[0].maps[0][:] = np.nan
    one.steps[0].maps[1][:] = [[np.inf, -3.0, 0.0, 0.0, 0.0]] * 3
    view.show([one])
    assert view.series[0]["steps"][0]["scale"] == 3.0
    one.steps[0].maps[1][:] = np.nan
    view.show([one])
    assert view.series[0]["steps"][0]["scale"] == 0.0


def test_sliders_stay_where_there_is_still_a_place():
    view = HeatmapView()
    view.show([series("8"), series("20")], step=1)
    view.depth = 1
    view.show([series("8", sizes=((2, 3),))])
    assert (view.depth, view.step) == (0, 0)
    view.show([])
    assert (view.series, view.maps, view.step) == ([], b"", 0)


def test_what_is_saved_are_the_raw_maps():
    view, shown, sent = HeatmapView(), [series("8"), series("20", seed=1)], []
    view.show(shown, about={"file": "heatmaps-grad-cam", "method": "Grad-CAM"})
    view.send = lambda content, buffers: sent.append((content, buffers))
    view._receive(view, {"save": "numbers"}, [])
    view._receive(view, {"save": "else"}, [])
    ((content, (data,)),) = sent
    assert content == {"file": "heatmaps-grad-cam.npz"}
    with np.load(io.BytesIO(data)) as saved:
        about = json.loads(str(saved["about"]))
        assert about == {
            "method": "Grad-CAM",
            "unit": "logits",
            "program": f"resnet_explore {rx.__version__}",
        }
        assert set(saved) - {"about"} == {
            f"{d}/{k}.0/{n}" for d in (8, 20) for k in (0, 1) for n in (f"Plain-{d}", "Residual")
        }
        np.testing.assert_array_equal(saved["20/1.0/Residual"], shown[1].steps[1].maps[1])
        assert saved["8/0.0/Plain-8"].dtype == np.float32


@pytest.mark.parametrize(
    "maps",
    [
        [np.zeros((2, 3))],
        [np.zeros((2, 3), int)] * 2,
        [np.zeros(3)] * 2,
        [[[1.0]]] * 2,
        [np.zeros((0, 2))] * 2,
    ],
)
def test_what_is_no_map_is_refused_and_the_old_picture_kept(maps):
    view = HeatmapView()
    view.show([series()])
    before = view.maps, view.series
    with pytest.raises(rx.ExploreError):
        view.show([HeatmapSeries([HeatmapStep(maps, "1.0", "")], "", "", ["Plain", "Residual"])])
    assert (view.maps, view.series) == before


def test_an_unknown_palette_is_answered_with_the_closest():
    with pytest.raises(rx.ExploreError, match="red and blue"):
        HeatmapView(palette="red and blu")


@pytest.mark.parametrize("name", PALETTES)
def test_palettes_are_bare_at_0_and_grow_without_a_step(name):
    table = PALETTES[name].astype(int)
    assert table.shape == (256, 4)
    assert table[127:129, 3].max() < 6
    assert (table[[0, 255], 3] == 255).all()
    sides = table[:128], table[128:]
    for side in sides:
        assert np.abs(np.diff(side, axis=0)).max() <= 8
    # The two signs never look alike.
    assert np.abs(sides[0][:100, :3] - sides[1][::-1][:100, :3]).sum(1).min() > 60


def test_names_with_commas_and_equal_names_keep_their_maps():
    maps = [np.full((2, 3), float(k)) for k in range(3)]
    for names, keys in (
        (["ResNet, a", "ResNet, b", "c/d"], ["ResNet, a", "ResNet, b", "c/d"]),
        (["ResNet", "ResNet", "c"], ["ResNet (1)", "ResNet (2)", "c"]),
    ):
        headings = [f"{name}, asked about cat" for name in names]
        view = HeatmapView()
        view.show([HeatmapSeries([HeatmapStep(maps, "1.0", "")], "", "", headings, names=names)])
        assert view.series[0]["names"] == keys
        assert list(view.numbers()) == [f"1.0/{key}" for key in keys]
        for key, values in zip(keys, maps, strict=True):
            np.testing.assert_array_equal(view.numbers()[f"1.0/{key}"], values)
