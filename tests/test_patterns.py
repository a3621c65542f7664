"""Made-up points as images: where the dots lie, and which class they have."""

import numpy as np
import pytest
import torch

import resnet_explore as rx
from resnet_explore.inputs.patterns import PATTERNS, drawn_pattern


def centres(images):
    """Return each dot's centre of mass in -1..1, (N, 2): across, down."""
    weight = images / images.sum((1, 2), keepdims=True)
    pixels = np.arange(images.shape[1])
    across, down = (weight.sum(axis) @ pixels for axis in (1, 2))
    return np.stack([across, down], 1) / 3.5 - 1


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_is_a_data_set_of_two_even_classes(name):
    train, test = rx.load_dataset(name), rx.load_dataset(name, "test")
    assert (train.images.shape, len(test)) == ((1440, 1, 8, 8), 360)
    assert abs(float(train.labels.float().mean()) - 0.5) < 0.05
    assert torch.equal(train.images, rx.load_dataset(name).images)
    assert "made-up" in train.source


def test_dots_lie_where_their_class_says():
    images, ring = drawn_pattern("circles")
    radius = np.hypot(*centres(images).T)
    assert radius[ring == 0].max() < radius[ring == 1].min()
    images, alike = drawn_pattern("xor")
    across, down = centres(images).T
    clear = np.minimum(abs(across), abs(down)) > 0.1  # a dot at the border loses a part of itself
    assert ((across * down > 0) == alike)[clear].all()


def test_a_spiral_turned_by_half_is_the_other_one():
    images, arm = drawn_pattern("spirals")
    places = centres(images)
    inside = np.hypot(*places.T) < 0.75
    nearest = [np.argmin(np.where(inside, np.hypot(*(places + place).T), 9)) for place in places[inside]]
    assert np.mean(arm[nearest] != arm[inside]) > 0.9


def test_a_split_that_a_pattern_has_not():
    with pytest.raises(rx.ExploreError, match="Unknown split 'val'"):
        rx.load_dataset("xor", "val")
