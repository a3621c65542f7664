"""The recorded verdicts on the photo twins, and the picture of them."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import resnet_explore as rx
from resnet_explore.analysis.explain.scoring.evaluation import Evaluation
from resnet_explore.figures.verdicts import verdict_chart
from resnet_explore.paths import shipped


@pytest.fixture(scope="module")
def shipped_verdicts():
    return rx.load_verdicts("imagenette")


def test_the_record_is_whole_and_says_what_it_rests_on(shipped_verdicts):
    values, about = shipped_verdicts.values, shipped_verdicts.about
    assert shipped_verdicts.networks == ["plain18", "resnet18"]
    assert shipped_verdicts.metrics == ["deletion", "insertion", "road", "randomisation", "stability"]
    assert len(shipped_verdicts.methods) == 15
    assert values.notna().all().all()
    images = values.groupby(["network", "method", "layer"])["image"].apply(tuple)
    assert len(images) == 2 * (15 + 2 * 2)  # chance and centre for each of two kinds of map
    assert images.nunique() == 1
    assert len(images.iloc[0]) == about["asked"]["images"]
    assert "squeezed" in about["data"]
    page = (shipped("data", "imagenette", "verdicts") / "README.md").read_text()
    assert about["command"] in page
    assert "/" not in about["command"]
    for row in shipped_verdicts.table().to_dict("records"):
        assert f"{row['value']:.3f} ± {row['error']:.3f}{' ✓' if row['passed'] else ''} |" in page


def test_the_title_counts_what_passes(shipped_verdicts):
    chart = rx.VerdictChart()
    passed = {
        (row["network"], row["method"], row["metric"]): row["passed"]
        for row in json.loads(shipped_verdicts.table().to_json(orient="records"))
    }
    where = {
        network: sum(
            all(passed[network, method, metric] for metric in ("deletion", "insertion", "road"))
            for method in shipped_verdicts.methods
        )
        for network in shipped_verdicts.networks
    }
    [title], [caption] = chart.titles, chart.captions
    assert title.startswith(
        f"Of 15 methods {where['plain18']} for Plain-18 and {where['resnet18']} for Residual-18 point at"
    )
    always = {m for m in shipped_verdicts.methods if all(v for key, v in passed.items() if key[1] == m)}
    assert ("Score-CAM" in title) == ("score_cam" in always)
    assert ("Guided backprop" in title) == ("guided_backprop" in always)
    assert caption.startswith("100 test images of 3,925, a copy of Imagenette squeezed")
    assert title in chart.alts[0]
    with Image.open(io.BytesIO(chart.frames[0])) as picture:
        assert min(picture.size) > 300


def test_marks_stand_at_gains_and_are_full_where_they_pass():
    rows = [
        (network, method, "", image, at + 0.01 * image * (method == "saliency"))
        for network, gain in (("plain18", 0.3), ("resnet18", -0.2))
        for method, at in (("random", 0.4), ("centre", 0.45), ("saliency", 0.4 + gain))
        for image in (0, 1, 2, 3, 4)
    ]
    values = pd.DataFrame(rows, columns=["network", "method", "layer", "image", "insertion"])
    evaluation = Evaluation(values)
    kinds = {"plain18": "plain", "resnet18": "residual"}
    figure = verdict_chart(evaluation.table(), kinds, {"insertion": "Insertion"}, {"saliency": "Gradient"})
    [ax] = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Gradient"]
    marks = [line for line in ax.lines if line.get_marker() in ("o", "s")]
    np.testing.assert_allclose([float(mark.get_xdata()[0]) for mark in marks], [0.32, -0.18])
    full = [mark.get_markerfacecolor() == mark.get_color() for mark in marks]
    assert full == [True, False]
    title = rx.VerdictChart(evaluation).titles[0]
    assert title.startswith("Of 1 methods 1 for Plain-18 and 0 for Residual-18")
    assert "none passes every check for both" in title
