"""Which images a menu offers, and what becomes of uploads."""

import io
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

import resnet_explore as rx
from resnet_explore.inputs.images import to_batch
from resnet_explore.widgets.catalog.images import Images, InputForm

FORM = InputForm(32, (0.5,) * 3, (0.25,) * 3)


def png(shade=0, size=(40, 30)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


def upload(images, name, data, batch=None, **more):
    return images.receive({"name": name, "batch": batch or name, **more}, [data])


def said(images):
    place = next(part for part in images.controls("image") if part.kind == "upload")
    return place.said, place.wrong


def test_sample_photos_stand_in_a_strip_and_many_images_in_a_menu():
    images = Images()
    strip, place = images.controls("image")
    assert (strip.kind, place.kind, place.key) == ("thumbs", "upload", "image.upload")
    assert [one.value for one in strip.choices] == list(rx.sample_photos())
    with Image.open(io.BytesIO(strip.choices[0].picture)) as small:
        assert small.size == (104, 104)
    menu, _ = images.controls("image", "digits")
    assert menu.kind == "menu"
    assert len(menu.choices) == 360
    assert menu.choices[7].value == "digits/7"
    digits = rx.load_dataset("digits", split="test")
    label = digits.classes[int(digits.labels[7])]
    assert menu.choices[7].label == f"{label} (test image 7)"
    torch.testing.assert_close(images.picture("digits/7").batch(FORM), digits.normalized(slice(7, 8)))


def test_a_photo_becomes_what_a_network_takes():
    images, photo = Images(), rx.sample_photos()["cat"].load()
    torch.testing.assert_close(
        images.picture("cat").batch(FORM), to_batch(photo, 32, (0.5,) * 3, (0.25,) * 3)
    )
    assert images.picture("cat").colors(FORM).shape == (32, 32, 3)
    assert images.picture("cat").seen(100).size == (100, 100)
    about = {"mean": (0.1,), "std": (0.2,), "input_size": (1, 8, 8)}
    assert images.form_for({}).side == 224
    assert images.form_for(about) == InputForm(8, (0.1,), (0.2,))
    digits = rx.load_dataset("digits", split="test")
    assert Images(digits).form_for(about).mean == digits.mean, "the images know best"


def test_statistics_are_over_the_image_first_and_others_where_they_are_small():
    images = Images()
    batch = images.batch("coffee", FORM)
    assert len(batch) == len(rx.sample_photos())
    torch.testing.assert_close(batch[:1], images.picture("coffee").batch(FORM))
    assert len(images.batch("coffee", InputForm(128, FORM.mean, FORM.std))) == 1
    digits = images.batch("digits/3", InputForm(8, (0.3,), (0.3,)))
    assert digits.shape == (32, 1, 8, 8)
    torch.testing.assert_close(digits[:1], images.picture("digits/3").batch(FORM))


def test_an_upload_has_an_id_and_the_same_file_the_same_one():
    images = Images()
    assert upload(images, "a.png", png(9)) == "upload-1"
    assert upload(images, "b.png", png(9)) == "upload-2"
    assert upload(images, "a.png", png(9)) == "upload-1"
    assert upload(images, "a.png", png(10)) == "upload-3"
    assert images.picture("upload-2").about == "your photo b.png"
    assert [choice.value for choice in images.choices()][-3:] == ["upload-1", "upload-2", "upload-3"]
    assert images.fitting("upload-2") == "upload-2"
    assert images.fitting("nothing", first="rocket") == "rocket"
    assert images.fitting("nothing", "digits", "rocket") == "digits/0"
    with pytest.raises(rx.ExploreError, match="did you mean 'upload-"):
        images.picture("upload-9")
    with pytest.raises(rx.ExploreError, match="Digits has the test images digits/0 to digits/359"):
        images.picture("digits/9999")


@pytest.fixture
def impatient():
    """Let threads take turns all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_photos_may_come_while_others_are_listed(impatient):
    images = Images()
    with ThreadPoolExecutor(4) as pool:
        added = [
            pool.submit(images.add, Image.new("RGB", (2, 2), (k, 0, 0)), f"photo {k}") for k in range(99)
        ]
        listed = [pool.submit(images.choices) for _ in range(99)]
        assert len({one.result() for one in added}) == 99
        assert all(one.result() for one in listed)
    assert [one.label for one in images.choices() if one.group == "Yours"].count("photo 7") == 1


def test_what_is_wrong_with_one_file_is_said_beside_those_that_came_with_it():
    images = Images()
    assert upload(images, "a.png", png(), "one") == "upload-1"
    assert said(images) == ("a.png arrived.", False)
    assert upload(images, "page.png", b"<html></html>", "one") is None
    assert upload(images, "b.png", png(1), "one", note="b.png was shrunk.") == "upload-2"
    words, wrong = said(images)
    assert wrong
    assert words.startswith("page.png ")
    assert "bytes" not in words, "a file is told by its name"
    assert words.endswith("b.png was shrunk.")
    upload(images, "c.png", png(2), "two", count="1 of 2")
    assert said(images) == ("1 of 2", False)
    images.forget_words()
    assert said(images) == ("", False)
    for buffers in ([], [b"a", b"b"]):
        assert images.receive({"name": "a.png"}, buffers) is None


def test_only_the_first_frame_of_an_animation_is_shown_and_that_is_said():
    buffer, frames = io.BytesIO(), [Image.new("RGB", (8, 8), (k, 0, 0)) for k in (0, 200)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    images = Images()
    upload(images, "a.gif", buffer.getvalue())
    assert said(images)[0].startswith("a.gif: ")


def test_a_persons_own_images_in_all_their_forms():
    tensor = torch.randn(3, 2, 8, 12)
    images = Images(tensor)
    assert not images.takes_uploads
    assert torch.equal(images.picture("image-1").batch(FORM), tensor[1:2])
    assert np.asarray(images.picture("image-1").image).shape == (8, 12, 3)
    with pytest.raises(rx.ExploreError, match="look at the images that they were given"):
        images.add(Image.new("RGB", (4, 4)), "mine")
    assert [part.kind for part in images.controls("image")] == ["thumbs"]
    photos = Images([Image.new("L", (50, 40), 90)])
    assert photos.takes_uploads
    assert photos.picture("image-0").image.mode == "RGB"
    digits = rx.load_dataset("digits", split="test")
    both = Images(digits)
    assert (both.form.side, both.classes) == (8, digits.classes)
    assert both.picture("image-3").about == Images().picture("digits/3").about
    with pytest.raises(rx.ExploreError, match="Unknown image 'image-9'"):
        images.picture("image-9")


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        ([], "images is empty"),
        ("photo.jpg", "not str"),
        (torch.zeros(2, 3), r"not torch.float32 of shape \(2, 3\)"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "not torch.uint8"),
        ([torch.zeros(3, 4, 4), torch.zeros(3, 5, 5)], "must have one size"),
        ([Image.new("RGB", (2, 2)), "a"], "a list of Image and str"),
        (torch.full((1, 3, 4, 4), torch.nan), "not finite"),
    ],
)
def test_what_is_no_image_is_refused(images, sentence):
    with pytest.raises(rx.ExploreError, match=sentence):
        Images(images)
