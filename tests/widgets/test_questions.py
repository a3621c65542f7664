"""What explorers ask before their first picture: judged by what was measured, withdrawn with its picture."""

import re
import time

import numpy as np
import pandas as pd
import pytest

import resnet_explore as rx
from resnet_explore.inputs.images import to_batch
from tests.widgets.pages import assert_kept

pytestmark = pytest.mark.usefixtures("unjudged", "seen_only")
NAMES = ("Degradation", "GradientFlow", "Saliency", "Architecture", "FeatureMap", "Skip", "Playground")
QUICK = {"GradientFlow": {"depths": (8, 20)}}


@pytest.fixture(scope="module")
def asked():
    """Returns a new explorer's question, once it has been measured."""
    made = {}

    def ask(name):
        if name not in made:
            explorer = getattr(rx, f"{name}Explorer")(guess=True, **QUICK.get(name, {}))
            at_once, end = explorer.open_question, time.monotonic() + 60
            assert at_once is not None, "it is asked while it is measured"
            while explorer.open_question.right is None:
                assert time.monotonic() < end
                time.sleep(0.05)
            made[name] = explorer.open_question
            assert made[name].key == at_once.key
            assert (made[name].text, made[name].choices) == (at_once.text, at_once.choices)
            explorer.close()
        return made[name]

    return ask


@pytest.mark.parametrize(
    "name", ["Degradation", "GradientFlow", "Saliency", "Architecture", "FeatureMap", "Skip"]
)
def test_words_are_explained_while_it_is_measured(unmeasured, name):
    explorer = getattr(rx, f"{name}Explorer")(guess=True)
    view = explorer.present(explorer.state, {})
    explorer.close()
    assert view.question
    assert view.glossary


def test_depth_is_judged_by_the_recorded_training_errors(asked):
    explorer = rx.DegradationExplorer()
    table = explorer.table
    explorer.close()
    last = table[(table["epoch"] == table["epochs"]) & (table["kind"] == "plain")]
    errors = last.groupby("depth")["train_error"].mean()
    assert errors.iloc[-1] - errors.iloc[0] > 2
    assert asked("Degradation").right == "rises"


def test_the_first_blocks_gradient_is_judged_by_its_ratio(asked):
    plain, _ = rx.twins("cifar_resnet20", widths=(8, 16, 32), in_channels=1)
    digits = rx.load_dataset("digits")
    ratio = rx.gradient_flow(plain, digits.normalized(slice(0, 64)), digits.labels[:64]).ratio
    right = "larger" if ratio > 10 else "smaller" if ratio < 0.1 else "level"
    assert asked("GradientFlow").right == right


def test_heatmaps_are_judged_by_the_ranks_of_their_places(asked):
    maps = []
    for kind in ("plain", "resnet"):
        model = rx.build(f"{kind}18", weights="imagenette").eval()
        about = model.about
        photo = rx.sample_photos()["temple"].load()
        image = to_batch(photo, about["input_size"][-1], about["mean"], about["std"])
        found = rx.class_activation_maps(model, image, int(model(image).argmax()))
        maps.append(pd.Series(found["layer3.1"][0].flatten().numpy()))
    alike = maps[0].corr(maps[1], method="spearman")
    assert f"{alike:.2f} at block 6" in asked("Saliency").told
    assert asked("Saliency").right == ("same" if alike >= 0.75 else "other" if alike <= 0.25 else "partly")


def test_parameters_are_counted(asked):
    plain, residual = (
        sum(weights.numel() for weights in rx.build(name).parameters()) for name in ("plain34", "resnet34")
    )
    assert residual / plain < 1.02
    assert asked("Architecture").right == "hardly"


def test_channels_are_judged_by_their_correlations(asked):
    maps = []
    for kind in ("plain", "resnet"):
        model = rx.build(f"cifar_{kind}20", weights="cifar10").eval()
        image = to_batch(rx.sample_photos()["cat"].load(), 32, model.about["mean"], model.about["std"])
        with rx.Capture(model, ["layer1.0"]) as capture:
            model(image)
        maps.append(capture.outputs["layer1.0"][0].detach().numpy().reshape(16, -1))
    alike = [np.corrcoef(a, b)[0, 1] for a, b in zip(*maps, strict=True) if a.any() and b.any()]
    assert sum(found >= 0.8 for found in alike) <= 4
    assert asked("FeatureMap").right == "hardly"


def test_a_block_that_is_out_is_judged_by_the_errors(asked):
    digits, errors = rx.load_dataset("digits", split="test"), []
    for kind in ("plain", "resnet"):
        model = rx.build(f"cifar_{kind}20", weights="digits").eval()
        with rx.edited(model, delete=["layer2.1"]):  # the fifth
            errors.append(float((model(digits.normalized()).argmax(1) != digits.labels).float().mean()))
    assert errors[0] > 0.5 > errors[1]
    assert asked("Skip").right == "plain"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("Degradation", {"runs": "own"}),
        ("Degradation", {"view": "paper"}),
        ("GradientFlow", {"norm": "none"}),
        ("GradientFlow", {"shown": "weight"}),
        ("Saliency", {"image": "cat"}),
        ("Saliency", {"method": "hirescam"}),
        ("Architecture", {"right": "resnet18"}),
        ("Architecture", {"view": "depth"}),
        ("FeatureMap", {"image": "rocket"}),
        ("Skip", {"deleted": (4,)}),
        ("Skip", {"skip": 0.5}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_who_has_changed_what_is_asked_about_is_not_asked(unmeasured, name, changes):
    explorer = getattr(rx, f"{name}Explorer")(guess=True, **QUICK.get(name, {}))
    assert explorer.open_question is not None
    explorer.update(**changes)
    assert explorer.open_question is None
    explorer.close()


def test_the_worst_block_is_asked_for_where_each_is_taken_out():
    explorer = rx.SkipExplorer(view="studies", guess=True)
    assert explorer.wait(60)
    question = explorer.open_question
    assert [choice.value for choice in question.choices] == list(range(1, 10))
    study = rx.lesion_study(
        rx.build("cifar_resnet20", weights="digits").eval(),
        *((digits := rx.load_dataset("digits", split="test")).normalized(), digits.labels),
        counts=(1,),
    ).table
    assert question.right == 1 + int(study["error"].reset_index(drop=True).idxmax())
    explorer.depth = 8
    assert explorer.wait(60)
    assert explorer.open_question is None, "who moves through depths is not asked at each"
    explorer.close()


def check(question):
    """Raise unless it has a right answer and says all there is to say."""
    values = [choice.value for choice in question.choices]
    assert question.right in values
    assert len(set(values)) == len(values) >= 3
    assert set(question.replies) <= set(values)
    assert question.text.endswith("?")
    assert re.search(r"\d", question.told)
    assert question.rule.endswith(".")
    assert 2 <= len(re.findall(r"\.(?: |$)", question.why)) <= 3


def test_questions_have_a_right_answer_and_are_those_that_were_read(asked):
    told = []
    for name in NAMES:
        question = asked(name)
        check(question)
        number = re.sub(r"\d[\d,]*(\.\d+)?", "#", question.told)  # processors round differently
        told += [f"== {name}: {question.key}", question.text]
        told += [f"- {choice.label}" for choice in question.choices]
        told += [question.rule, number, question.why, *question.replies.values()]
    assert_kept("questions", told)
