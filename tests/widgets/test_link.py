"""Linked explorers follow each other where both have a field, and stay apart where they can't."""

import numpy as np
import pytest
from PIL import Image

import resnet_explore as rx
from tests.widgets.made_up import PowerExplorer

pytestmark = pytest.mark.usefixtures("unmeasured")


@pytest.fixture
def pair():
    maps, skips = rx.FeatureMapExplorer(), rx.SkipExplorer()
    yield maps, skips
    for explorer in (maps, skips):
        explorer.close()
        explorer.wait(60)


def shared(explorer):
    state = explorer.state
    return state.networks, state.depth, state.block, state.image


def test_the_first_leads_and_both_follow(pair):
    maps, skips = pair
    maps.update(networks="digits", depth=56, image="digits/3", block=2)
    rx.link(maps, skips)
    assert shared(skips) == ("digits", 56, 2, "digits/3")
    skips.depth = 8
    assert maps.depth == 8
    maps.update(networks="cifar10", depth=44, image="rocket")
    assert shared(skips)[:2] == ("cifar10", 44)
    assert skips.image == "rocket"


def test_what_the_other_does_not_have_it_leaves_as_it_is(pair):
    maps, _ = pair
    gradients = rx.GradientFlowExplorer(depths=(8, 56))
    rx.link(gradients, maps)
    assert (gradients.depth, maps.depth) == (56, 56)
    maps.depth = 44  # is not measured there
    assert gradients.depth == 56
    assert gradients.problem == ""
    gradients.depth = 8
    assert maps.depth == 8
    gradients.close()


def test_a_photo_that_was_brought_to_one_is_there_in_the_other(pair, tmp_path):
    maps, skips = pair
    rx.link(maps, skips)
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg")
    skips.show_image(Image.effect_noise((30, 30), 50).convert("RGB"), "another")
    maps.show_image(tmp_path / "noise.jpg")
    ours, theirs = (each.images.picture(each.image) for each in (maps, skips))
    assert np.array_equal(np.asarray(ours.image), np.asarray(theirs.image))
    assert theirs.about == ours.about
    before = maps.image, maps.code
    skips.depth = 8
    assert maps.depth == 8
    maps.depth = 20
    assert (maps.image, maps.code) == before, "it did not come back as another photo"


def test_a_follower_says_nothing_of_what_it_can_not_show(pair):
    maps, _ = pair
    gradients = rx.GradientFlowExplorer(depths=(8, 56))
    rx.link(gradients, maps)
    said = []
    gradients.observe(lambda change: said.append(change.new), "_problem")
    maps.depth = 44
    assert said == []
    gradients.close()


def test_three_go_together_until_they_are_parted(pair):
    third = rx.FeatureMapExplorer()
    joined = rx.link(*pair, third)
    third.depth = 32
    assert [each.depth for each in pair] == [32, 32]
    joined.unlink()
    third.depth = 8
    assert [each.depth for each in pair] == [32, 32]
    third.close()


@pytest.mark.parametrize("wrong", [(), ("one",), ("one", "text"), ("one", "powers")])
def test_what_can_not_be_joined_is_said(pair, wrong):
    known = {"one": pair[0], "text": "FeatureMapExplorer", "powers": PowerExplorer()}
    with pytest.raises(rx.ExploreError, match=r"two explorers|takes explorers, not str|in common"):
        rx.link(*(known[name] for name in wrong))
    known["powers"].close()
