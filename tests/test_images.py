"""What people upload: every kind of file becomes upright RGB, or one sentence."""

import contextlib
import io
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

import resnet_explore as rx
from resnet_explore.inputs.images import square_crop, to_batch

WIDTH, HEIGHT = 24, 16


def gradient():
    """A picture without any symmetry, smooth enough for JPEG."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    channels = (x * 255 // WIDTH, y * 255 // HEIGHT, (x + y) * 255 // (WIDTH + HEIGHT))
    return Image.fromarray(np.stack(channels, 2).astype(np.uint8))


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(a, b):
    assert a.mode == b.mode == "RGB"
    assert a.size == b.size
    return np.abs(np.asarray(a, int) - np.asarray(b, int)).mean()


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 95}, 4),
        ("GIF", {}, 12),
    ],
)
def test_formats(kind, options, tolerance, tmp_path):
    data = encode(gradient(), kind, **options)
    (tmp_path / "wrong.extension").write_bytes(data)
    for source in (data, memoryview(data), tmp_path / "wrong.extension", str(tmp_path / "wrong.extension")):
        assert difference(rx.decode_image(source), gradient()) <= tolerance


# How a camera held that way stores the upright picture: EXIF 2.3, tag 0x0112.
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation(orientation):
    upright = np.asarray(gradient())
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](upright)))
    decoded = rx.decode_image(encode(stored, "PNG", exif=exif))
    assert np.array_equal(np.asarray(decoded), upright)


def test_palette_alpha_grey_and_more_become_rgb():
    rgb = gradient()
    assert difference(rx.decode_image(encode(rgb.quantize(200), "PNG")), rgb) < 6
    grey = rgb.convert("L")
    assert difference(rx.decode_image(encode(grey, "PNG")), grey.convert("RGB")) == 0
    bits = grey.convert("1")
    assert difference(rx.decode_image(encode(bits, "PNG")), bits.convert("RGB")) == 0
    cmyk = rx.decode_image(encode(rgb.convert("CMYK"), "JPEG", quality=95))
    assert difference(cmyk, rgb) < 8


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_becomes_white(mode):
    image = gradient().convert(mode)
    alpha = Image.new("L", image.size, 0)
    alpha.paste(255, (0, 0, WIDTH // 2, HEIGHT))
    image.putalpha(alpha)
    pixels = np.asarray(rx.decode_image(encode(image, "PNG")))
    assert (pixels[:, WIDTH // 2 :] == 255).all()
    opaque = np.asarray(gradient().convert(mode[:-1]).convert("RGB"))
    assert np.array_equal(pixels[:, : WIDTH // 2], opaque[:, : WIDTH // 2])


def test_a_transparent_colour_of_a_palette_becomes_white():
    image = gradient().quantize(8)
    image.info["transparency"] = 0
    pixels = np.asarray(rx.decode_image(encode(image, "PNG", transparency=0)))
    hidden = np.asarray(image) == 0
    assert hidden.any()
    assert (pixels[hidden] == 255).all()


def test_sixteen_bits_are_scaled_not_cut():
    values = np.linspace(0, 65535, WIDTH * HEIGHT).astype(np.uint16).reshape(HEIGHT, WIDTH)
    pixels = np.asarray(rx.decode_image(encode(Image.fromarray(values), "PNG")))
    assert np.abs(pixels[..., 0].astype(int) - np.rint(values / 257)).max() <= 1


def test_the_first_frame_of_an_animation():
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert rx.decode_image(data).getpixel((3, 3)) == (255, 0, 0)


def png_header(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "HTML"),
        (b"%PDF-1.7\n...", "PDF"),
        (b"just some words that are no image at all", "image"),
        (png_header(20_000, 20_000), "64,000,000 pixels"),
        (encode(gradient(), "PNG")[:-40], "image"),
        (encode(gradient(), "JPEG")[:200], "image"),
    ],
)
def test_what_is_no_image_gets_one_sentence(data, sentence):
    with pytest.raises(rx.ImageError, match=sentence) as caught:
        rx.decode_image(data)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(rx.ImageError, match=r"gone\.png"):
        rx.decode_image(tmp_path / "gone.png")


VALID = [encode(gradient(), kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")]


@settings(max_examples=300, deadline=None)
@given(
    data=st.sampled_from(VALID),
    cut=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=5),
)
def test_damage_gives_a_picture_or_a_sentence(data, cut, changes):
    damaged = bytearray(data[: max(1, round(cut * len(data)))])
    for place, value in changes:
        damaged[min(int(place * len(damaged)), len(damaged) - 1)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(rx.ImageError):
            assert rx.decode_image(bytes(damaged)).mode == "RGB"


@pytest.mark.parametrize("turned", [False, True])
def test_the_network_sees_torchvisions_crop(turned):
    image = rx.sample_photos()["coffee"].load()
    image = image.transpose(Image.Transpose.ROTATE_90) if turned else image
    expected = v2.Compose([v2.Resize(64, antialias=True), v2.CenterCrop(64)])(image)
    assert np.array_equal(np.asarray(square_crop(image, 64)), np.asarray(expected))
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    pixels = v2.functional.to_dtype(v2.functional.pil_to_tensor(expected), torch.float32, scale=True)
    torch.testing.assert_close(to_batch(image, 64, mean, std)[0], v2.functional.normalize(pixels, mean, std))


def test_sample_photos_are_there_offline(monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("socket.socket.connect", offline)
    photos = rx.sample_photos()
    assert len(photos) >= 5
    for name, photo in photos.items():
        image = photo.load()
        assert image.mode == "RGB"
        assert min(image.size) > 200
        assert name == photo.name
        assert photo.credit
