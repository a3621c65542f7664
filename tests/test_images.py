"""What people upload: every kind of file becomes upright RGB, or one sentence."""

import contextlib
import io
import struct
import sys
import threading
import warnings
import zlib
from importlib.metadata import files as files_of

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image, features
from torchvision.transforms import v2

import resnet_explore as rx
from resnet_explore.inputs.images import SamplePhoto, remark, square_crop, to_batch

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
        pytest.param("AVIF", {}, 8, marks=pytest.mark.skipif(not features.check("avif"), reason="no AVIF")),
    ],
)
def test_formats(kind, options, tolerance, tmp_path):
    data = encode(gradient(), kind, **options)
    (tmp_path / "wrong.extension").write_bytes(data)
    path = tmp_path / "wrong.extension"
    decoded = [rx.decode_image(s) for s in (data, bytearray(data), memoryview(data), path, str(path))]
    path.unlink()  # what was decoded does not need the file
    for image in decoded:
        assert difference(image, gradient()) <= tolerance


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
    assert not decoded.info  # above all no tag that would turn it again


# The same from the other side: which visual sides the stored row 0 and column 0 are, in the standard's words.
ROW_0 = {1: "top", 2: "top", 3: "bottom", 4: "bottom", 5: "left", 6: "right", 7: "right", 8: "left"}
COLUMN_0 = {1: "left", 2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "bottom", 8: "bottom"}


def as_seen(stored, orientation):
    """Move every stored pixel to where the standard says it is seen."""
    turned, sides = orientation >= 5, (ROW_0[orientation], COLUMN_0[orientation])
    rows, columns = stored.shape[:2]
    height, width = (columns, rows) if turned else (rows, columns)
    seen = np.zeros((height, width, 3), stored.dtype)
    for r in range(rows):
        for c in range(columns):
            down, across = (c, r) if turned else (r, c)
            y = down if "top" in sides else height - 1 - down
            x = across if "left" in sides else width - 1 - across
            seen[y, x] = stored[r, c]
    return seen


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])  # each keeps its tag in a place of its own
def test_exif_orientation_in_every_container(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    stored = np.asarray(rx.decode_image(encode(gradient(), kind, **options)))
    decoded = rx.decode_image(encode(gradient(), kind, exif=exif, **options))
    assert np.array_equal(np.asarray(decoded), as_seen(stored, orientation))


BROKEN_EXIF = [b"Exif\0\0junk", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\x05"]


@pytest.mark.parametrize("exif", BROKEN_EXIF)
def test_a_broken_exif_block_does_not_cost_the_photo(exif):
    assert difference(rx.decode_image(encode(gradient(), "JPEG", exif=exif, quality=95)), gradient()) <= 4


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_the_standard_does_not_have_is_ignored(value):
    exif = Image.Exif()
    exif[0x0112] = value
    assert difference(rx.decode_image(encode(gradient(), "PNG", exif=exif)), gradient()) == 0


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


def every_16_bit_value():
    return np.arange(65536, dtype=np.uint16).reshape(128, 512)


def grey_of(data):
    pixels = np.asarray(rx.decode_image(data), int)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "big-endian TIFF"])
def test_every_sixteen_bit_value_is_divided_by_257(kind):
    values = every_16_bit_value()
    image = Image.fromarray(values)
    if kind.startswith("big"):
        image = Image.frombytes("I;16B", values.shape[::-1], values.astype(">u2").tobytes())
    assert np.array_equal(grey_of(encode(image, kind.split()[-1])), np.rint(values / 257))


def test_sixteen_bits_whose_white_is_zero():
    def photometric(value):  # the entry of tag 262 in a TIFF: 0 is WhiteIsZero, 1 BlackIsZero
        return struct.pack("<HHIHH", 262, 3, 1, value, 0)

    values = every_16_bit_value()
    data = encode(Image.fromarray(values), "TIFF")
    assert data.count(photometric(1)) == 1
    inverted = data.replace(photometric(1), photometric(0))
    assert np.array_equal(grey_of(inverted), 255 - np.rint(values / 257))


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_sixteen_bits_with_a_transparent_grey():
    values = every_16_bit_value()
    data = encode(Image.fromarray(values), "PNG")
    at = data.index(b"IDAT") - 4
    data = data[:at] + chunk(b"tRNS", struct.pack(">H", 1000)) + data[at:]
    expected = np.rint(values / 257)
    expected[values == 1000] = 255
    assert np.array_equal(grey_of(data), expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 257, 65535]], np.int32), [[0, 1, 255]]),
        (np.array([[0, 100, 255]], np.int32), [[0, 100, 255]]),
        (np.array([[0, 1, 1]], np.int32), [[0, 1, 1]]),
        (np.array([[0, 1_000_000, 5_000_000]], np.int32), [[0, 51, 255]]),
        (np.array([[-50, 1, 205]], np.int32), [[0, 51, 255]]),
        (np.array([[0, 0.2, 1]], np.float32), [[0, 51, 255]]),
        (np.array([[0.1, 0.2, 0.4]], np.float32), [[26, 51, 102]]),
        (np.array([[0, 100, 255]], np.float32), [[0, 100, 255]]),
        (np.array([[0, 514, 65535]], np.float32), [[0, 2, 255]]),
        (np.array([[-1, 0, 4]], np.float32), [[0, 51, 255]]),
        (np.array([[-3e38, 3e38]], np.float32), [[0, 255]]),
    ],
)
def test_32_bits_are_scaled_from_the_range_that_holds_them(values, expected):
    assert grey_of(encode(Image.fromarray(values), "TIFF")).tolist() == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_finite_number_has_no_colour(value, tmp_path):
    path, image = tmp_path / "depth.tif", Image.fromarray(np.array([[0.5, value, 1]], np.float32))
    image.save(path)
    with pytest.raises(rx.ImageError, match=r"^'depth.tif' holds values that are not finite numbers\.$"):
        rx.decode_image(path)
    with pytest.raises(rx.ImageError, match="The image holds values that are not finite"):
        to_batch(image, 8, (0.5,), (0.5,))
    with Image.open(path) as opened, pytest.raises(rx.ImageError, match=r"^'depth\.tif' holds values"):
        to_batch(opened, 8, (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})]
)
def test_half_transparent_is_laid_on_white(kind, options):
    rgba = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    alpha = rgba[..., 3:] / 255
    expected = rgba[..., :3] * alpha + 255 * (1 - alpha)
    seen = np.asarray(rx.decode_image(encode(Image.fromarray(rgba), kind, **options)))
    assert np.abs(seen - expected).max() <= 1


def test_a_palette_with_levels_of_transparency():
    image = Image.new("P", (3, 1))
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    image.putdata([0, 1, 2])
    seen = np.asarray(rx.decode_image(encode(image, "PNG", transparency=bytes([255, 0, 128]))), int)
    assert np.abs(seen[0] - [(200, 0, 0), (255, 255, 255), (127, 127, 227)]).max() <= 1


@pytest.mark.parametrize(("mode", "hidden", "shown"), [("L", 7, 9), ("RGB", (7, 7, 7), (9, 9, 9))])
def test_one_transparent_colour_becomes_white(mode, hidden, shown):
    image = Image.new(mode, (3, 2), hidden)
    image.putpixel((1, 0), shown)
    decoded = rx.decode_image(encode(image, "PNG", transparency=hidden))
    assert decoded.getpixel((0, 0)) == (255, 255, 255)
    assert decoded.getpixel((1, 0)) == (9, 9, 9)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_become_light(kind):
    inks = {(255, 0, 0, 0): (0, 255, 255), (0, 0, 255, 0): (255, 255, 0), (0, 0, 0, 255): (0, 0, 0)}
    for ink, colour in {**inks, (0, 0, 0, 0): (255, 255, 255)}.items():
        data = encode(Image.new("CMYK", (WIDTH, HEIGHT), ink), kind)
        assert kind == "TIFF" or b"Adobe" in data[:200]  # in a JPEG that means: stored inverted
        assert np.abs(np.asarray(rx.decode_image(data), int) - colour).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_the_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    decoded = rx.decode_image(data)
    red, green, blue = decoded.getpixel((3, 3))
    assert red > 250
    assert max(green, blue) < 5
    said = {"TIFF": "several pages, of which the first is used", "MPO": ""}  # what a phone adds is no photo
    assert remark(decoded) == said.get(kind, "an animation, of which the first frame is used")
    if kind != "MPO":
        assert not remark(rx.decode_image(encode(frames[0], kind)))


@pytest.fixture(scope="module")
def large():
    """A photo of 9000×12000 pixels, stored lying on its side: grey, red in what becomes the upper left."""
    image, exif = Image.new("RGB", (12_000, 9_000), (90, 120, 90)), Image.Exif()
    image.paste((250, 0, 0), (0, 4_500, 6_000, 9_000))
    exif[0x0112] = 6
    return image, exif


def test_a_jpeg_of_108_megapixels_is_read_at_a_quarter(large, tmp_path):
    path = tmp_path / "large.jpg"
    large[0].save(path, exif=large[1], quality=60)
    for source in (path, path.read_bytes()):
        image = rx.decode_image(source)
        assert image.size == (2250, 3000)
        assert np.abs(np.subtract(image.getpixel((500, 700)), (250, 0, 0))).max() < 6
        assert np.abs(np.subtract(image.getpixel((1700, 700)), (90, 120, 90))).max() < 6
        assert remark(image) == "read at 3000×2250 instead of 12000×9000 pixels"
    assert "begins like a JPEG image but is damaged or cut off" in refusal(path.read_bytes()[:90_000])


def test_a_large_jpeg_that_would_be_held_whole_is_refused(large):
    said = refusal(encode(large[0], "JPEG", progressive=True))
    assert "more than 64,000,000 pixels, the most allowed; of JPEGs only those of one scan, not prog" in said
    # A scan for each colour: the header that is made so says that the first scan holds one of three.
    whole = encode(large[0], "JPEG")
    at = whole.index(b"\xff\xda\0\x0c\3")
    assert "only those of one scan" in refusal(
        whole[:at] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + whole[at + 14 :]
    )


def png_header(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "HTML"),
        (b"%PDF-1.7\n...", "PDF"),
        (b"\xef\xbb\xbf\n <html>", "an HTML page"),
        (b'<?xml version="1.0"?><svg xmlns="...">', "an SVG drawing"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"\x93NUMPY\x01\0", "a NumPy array"),
        (b"\0\0\0\x18ftypisom\0\0", "a video"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        ("Grüße aus Köln".encode(), "a text file"),
        (("ü" * 600 + "!").encode()[1:], "is not an image"),
        (("x" + "ü" * 600).encode(), "a text file"),  # what is looked at ends inside a character
        (b"\x00\x01\x02\xff" * 9, "is not an image"),
        (b"\x89PNG\r\n", "a PNG image but is damaged or cut off"),
        (b"\xff\xd8\xff\xe0", "a JPEG image but is damaged or cut off"),
        (b"RIFF\0\0\0\0WEBP", "a WebP image but is damaged or cut off"),
        (png_header(20_000, 20_000), "64,000,000 pixels"),  # Pillow raises at this size,
        (png_header(10_000, 9_000), "64,000,000 pixels"),  # warns at this one,
        (png_header(8_001, 8_000), "8001×8000 pixels; at most 64,000,000"),  # and says nothing at this
        (png_header(8_000, 8_000), "damaged or cut off"),  # not too large: what follows the header is missing
        (encode(gradient(), "PNG")[:-40], "image"),
        (encode(gradient(), "JPEG")[:200], "image"),
    ],
)
def test_what_is_no_image_gets_one_sentence(data, sentence):
    assert sentence in refusal(data)


def refusal(source):
    with pytest.raises(rx.ImageError) as caught:
        rx.decode_image(source)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    return str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_half_a_file_is_refused(kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))
    data = encode(noise, kind)
    assert "damaged or cut off" in refusal(data[: len(data) // 2])


def test_a_missing_file_is_named(tmp_path):
    assert "gone.png" in refusal(tmp_path / "gone.png")


def test_paths_that_lead_to_no_file(tmp_path):
    assert "is not a file" in refusal(str(tmp_path))
    assert "web address" in refusal("https://example.org/cat.png")
    assert "cannot be opened: File name too long" in refusal("a" * 5000)
    assert "cannot be opened" in refusal("~nobody-of-this-name/cat.png")
    refusal("a\0b")
    (tmp_path / "cat.png").write_text("meow")
    assert refusal(tmp_path / "cat.png").startswith("'cat.png' is not an image")


@pytest.mark.parametrize("source", [None, 3, np.zeros((2, 2)), Image.new("RGB", (2, 2))])
def test_what_is_neither_bytes_nor_a_path(source):
    assert type(source).__name__ in refusal(source)


def test_heic_without_its_reader_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert "resnet-explore[heic]" in refusal(b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf")


def test_heic_with_its_reader():
    heif = pytest.importorskip("pillow_heif")
    with io.BytesIO() as stream:
        heif.from_pillow(gradient()).save(stream, quality=90)
        assert difference(rx.decode_image(stream.getvalue()), gradient()) <= 8


VALID = [encode(gradient(), kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")] + [
    encode(Image.fromarray(every_16_bit_value()[:8, :9]), "PNG"),
    encode(Image.fromarray(np.ones((3, 5), np.float32)), "TIFF"),
    encode(gradient().quantize(4), "PNG", transparency=bytes([0, 128])),
    encode(gradient().convert("CMYK"), "JPEG"),
]


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


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_junk_gives_a_sentence(data):
    refusal(data)


def test_no_warning_of_pillow_gets_out_and_threads_leave_the_filters_alone():
    data = encode(gradient(), "JPEG", exif=BROKEN_EXIF[2])
    with pytest.warns(UserWarning, match="Corrupt EXIF"), Image.open(io.BytesIO(data)) as image:
        image.getexif()  # Pillow does warn of this file
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [rx.decode_image(data) for _ in range(20)]) for _ in "1234"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rx.decode_image(data)  # here a warning would be an error
    assert warnings.filters == before


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 70), st.sampled_from(["RGB", "L"]))
def test_square_crop_is_torchvisions_for_every_shape(width, height, size, mode):
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(noise).convert(mode)
    seen = square_crop(image, size)
    assert seen.mode == mode
    assert np.array_equal(seen, v2.Compose([v2.Resize(size), v2.CenterCrop(size)])(image))


def test_one_mean_makes_a_grey_batch():
    batch = to_batch(gradient(), 8, (0.5,), (0.25,))
    grey = np.asarray(square_crop(gradient().convert("L"), 8)) / 255
    assert batch.shape == (1, 1, 8, 8)
    np.testing.assert_allclose(batch[0, 0].numpy(), (grey - 0.5) / 0.25, rtol=1e-5, atol=1e-6)


def test_a_crop_and_a_batch_that_make_no_sense():
    with pytest.raises(rx.ExploreError, match="size must be a positive whole number of pixels, not 0"):
        square_crop(gradient(), 0)
    for mean, std in (((0.5, 0.5), (0.2, 0.2)), ((0.5, 0.5, 0.5), (0.2,))):
        with pytest.raises(rx.ExploreError, match="mean and std must have one value each, or three"):
            to_batch(gradient(), 8, mean, std)


@pytest.mark.parametrize("turned", [False, True])
def test_of_a_strip_the_middle_is_seen(turned):
    strip = np.zeros((2, 40_000, 3), np.uint8)
    strip[:, 19_999:20_001] = [[[9, 8, 7], [60, 5, 4]], [[3, 200, 2], [1, 0, 90]]]
    middle, strip = strip[:, 19_999:20_001], strip.swapaxes(0, 1) if turned else strip
    middle = middle.swapaxes(0, 1) if turned else middle
    expected = Image.fromarray(middle).resize((64, 64), Image.Resampling.BILINEAR)
    assert np.array_equal(square_crop(Image.fromarray(strip), 64), expected)


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
    wheels = {"skimage": "scikit-image", "sklearn": "scikit-learn"}
    photos = rx.sample_photos()
    assert len(photos) >= 5
    for name, photo in photos.items():
        shipped = {path.as_posix() for path in files_of(wheels[photo.package]) or ()}
        assert f"{photo.package}/{photo.file}" in shipped
        image = photo.load()
        assert image.mode == "RGB"
        assert min(image.size) > 200
        assert name == photo.name
        assert any(licence in photo.credit for licence in ("CC0", "public domain", "CC BY 2.0"))
        assert "CC BY" not in photo.credit or "flickr.com" in photo.credit  # whom to attribute, and where


def test_sample_photos_are_what_their_packages_show():
    from skimage import data
    from sklearn.datasets import load_sample_image

    photos = rx.sample_photos()
    assert np.array_equal(photos["cat"].load(), data.chelsea())
    assert np.array_equal(photos["camera"].load().convert("L"), data.camera())
    assert np.array_equal(photos["flower"].load(), load_sample_image("flower.jpg"))


@pytest.mark.parametrize("package", ["skimage", "no_such_package"])
def test_a_sample_photo_that_was_not_installed(package):
    with pytest.raises(rx.ImageError, match="There is no file"):
        SamplePhoto("cat", "", "", package, "data/no-such-cat.png").load()
