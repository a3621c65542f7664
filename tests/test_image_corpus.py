"""More than a thousand damaged and strange images: each is a picture or one sentence, in bounded memory."""

import io
import resource
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import resnet_explore as rx
from resnet_explore.inputs.images import PIXEL_LIMIT

MEMORY = 500  # megabytes more than before that the whole corpus may take


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, body):
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png(width, height, body=b"", depth=8, colour=2):
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, colour, 0, 0, 0])
    data = chunk(b"IDAT", body) if body else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def zeros(count):
    """Compress that many zero bytes without ever holding them."""
    packer, block, made = zlib.compressobj(9), bytes(1 << 20), []
    for _ in range(count >> 20):
        made.append(packer.compress(block))
    return b"".join([*made, packer.compress(bytes(count & 0xFFFFF)), packer.flush()])


def photo(width=40, height=28):
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 6 % 256, y * 9 % 256, (x * y) % 256], 2).astype(np.uint8))


def whole() -> Iterator[tuple[str, bytes]]:
    """Whole files of every kind that people have, and the strange ones among them."""
    rgb, exif = photo(), Image.Exif()
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        yield f"plain {kind}", encode(rgb, kind)
    for turn in range(10):  # 0 and 9 are not in the standard
        exif[0x0112] = turn
        for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
            yield f"turned {kind} {turn}", encode(rgb, kind, exif=exif)
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        image = Image.fromarray(np.arange(1120, dtype=np.uint16).reshape(28, 40) * 58)
        image = image if mode == "I;16" else rgb.convert(mode)
        yield f"PNG {mode}", encode(image, "PNG")
    for mode in ("CMYK", "L", "YCbCr"):
        yield f"JPEG {mode}", encode(rgb.convert(mode), "JPEG")
    for mode in ("CMYK", "LAB", "F", "I;16", "1"):
        image = Image.fromarray(np.ones((28, 40), np.uint16)) if mode == "I;16" else None
        image = image or (rgb.convert("LAB") if mode == "LAB" else rgb.convert("L").convert(mode))
        yield f"TIFF {mode}", encode(image, "TIFF")
    palette = rgb.quantize(16)
    yield "palette with alpha", encode(palette, "PNG", transparency=bytes(range(0, 256, 16)))
    frames = [photo(), photo().rotate(90), photo().rotate(180)]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        yield f"animated {kind}", encode(frames[0], kind, save_all=True, append_images=frames[1:])
    for size in ((1, 1), (1, 2000), (2000, 1), (3, 2)):
        for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP"):
            yield f"{kind} {size}", encode(Image.new("RGB", size, "red"), kind)
    yield "progressive JPEG", encode(rgb, "JPEG", progressive=True, quality=30)


def hostile() -> Iterator[tuple[str, bytes]]:
    """Files that are no image, or would be too large a one."""
    yield "20000 x 20000", png(20000, 20000, zlib.compress(b"\0"))
    yield "20000 x 20000 in full", png(20000, 20000, zeros(20000 * 2501), depth=1, colour=0)
    yield "just too large", png(PIXEL_LIMIT // 8000 + 1, 8000)
    yield "bomb in the limit", png(7900, 7900, zeros(7900 * 7901), colour=0)
    yield "bomb that lies small", png(10, 10, zeros(50_000_000))
    yield "bomb in text", png(4, 4)[:-12] + chunk(b"zTXt", b"a\0\0" + zeros(80_000_000)) + png(4, 4)[-12:]
    yield from large_jpegs()
    yield "size 0", png(0, 0)
    yield "largest size", png(2**31 - 1, 2**31 - 1)
    yield "GIF of 65535", b"GIF89a\xff\xff\xff\xff\0\0\0" + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02L\x01\0;"
    yield (
        "BMP of millions",
        b"BM" + bytes(12) + (40).to_bytes(4, "little") + b"\x7f\xff\xff\x7f" * 2 + bytes(32),
    )
    yield "nothing", b""
    for text in (
        b"<html><body>404</body></html>",
        b"<?xml?><svg/>",
        b"\xef\xbb\xbf<!DOCTYPE html>",
        b"{}",
        b"hello",
    ):
        yield f"text {text[:8]!r}", text
    for head in (b"%PDF-1.7", b"PK\x03\x04", b"\x7fELF", b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypmif1", b"MZ"):
        yield f"head {head!r}", head + bytes(200)
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        yield f"{kind} twice", encode(photo(), kind) * 2
        yield f"{kind} behind junk", b"junk" + encode(photo(), kind)
        yield f"{kind} and zeros", encode(photo(), kind) + bytes(10_000)


def large_jpegs() -> Iterator[tuple[str, bytes]]:
    """JPEGs of 108 megapixels, and such as say in their header that they have four thousand."""
    sizes, small = (b"\0\x1c\0\x28", encode(photo(), "JPEG")), encode(photo(), "JPEG", progressive=True)
    for name, data in (("one scan", sizes[1]), ("progressive", small)):
        for width, height in ((12_000, 9_000), (32_000, 30_000), (65_500, 65_500)):
            size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
            assert data.count(sizes[0]) == 1
            yield f"JPEG of {width} x {height}, {name}, cut off", data.replace(sizes[0], size)


def damaged(seed=0) -> Iterator[tuple[str, bytes]]:
    """Files cut off at every kind of place, with bits turned, bytes repeated, cut out or zeroed."""
    random = np.random.default_rng(seed)
    sources = [(name, data) for name, data in whole() if "turned" not in name and "(" not in name]
    for name, data in sources:
        for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98):
            yield f"{name} cut at {share}", data[: int(share * len(data))]
        for end in (1, 2, 4, 8, 12, 16, 30, len(data) - 1):
            yield f"{name} cut after {end}", data[:end]
        for i in range(12):
            changed = bytearray(data)
            for _ in range(1 + i):
                changed[random.integers(len(data))] ^= 1 << random.integers(8)
            yield f"{name} with bits turned, {i}", bytes(changed)
        for i in range(6):
            a, b = sorted(random.integers(len(data), size=2))
            yield f"{name} zeroed, {i}", data[:a] + bytes(b - a) + data[b:]
            yield f"{name} cut out, {i}", data[:a] + data[b:]
            yield f"{name} repeated, {i}", data[:b] + data[a:]


def test_every_file_gives_a_picture_or_one_sentence():
    pictures, sentences = {}, {}
    for part in (whole, hostile, damaged):
        for name, data in part():
            try:
                picture = rx.decode_image(data)
                pictures[part, name] = picture.mode, picture.size
            except rx.ImageError as error:
                sentences[part, name] = str(error)
    for key, (mode, (width, height)) in pictures.items():
        assert mode == "RGB", key
        assert width * height <= PIXEL_LIMIT, key
    for key, sentence in sentences.items():
        assert len(sentence.splitlines()) == 1, key
        assert sentence.endswith("."), key
        assert key[0] is not whole, key
    assert len(pictures) + len(sentences) >= 1000
    assert min(len(pictures), len(sentences)) > 200


def test_the_wrong_suffix_does_not_matter(tmp_path):
    for i, (name, data) in enumerate(whole()):
        path = tmp_path / f"{i}.{('jpg', 'png', 'txt', 'heic')[i % 4]}"
        path.write_bytes(data)
        assert rx.decode_image(path).mode == "RGB", name


def test_the_corpus_stays_in_memory_s_bounds():
    """In a process of its own, whose peak is known; what the corpus's own making takes is part of it."""
    code = (
        "import resource, sys; sys.path.insert(0, 'tests')\n"
        "import test_image_corpus as corpus\n"
        "import resnet_explore as rx\n"
        "rx.decode_image(corpus.encode(corpus.photo(), 'PNG'))\n"
        "before = corpus.peak()\n"
        "for name, data in corpus.hostile():\n"
        "    try: rx.decode_image(data)\n"
        "    except rx.ImageError: pass\n"
        "print(corpus.peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < MEMORY


def test_a_jpeg_of_108_megapixels_is_never_held_whole(tmp_path):
    """Decoded in a process of its own, as its making here takes what the decoder must not: 432 MB."""
    image, (whole, progressive) = Image.new("RGB", (12_000, 9_000), "orange"), ("w.jpg", "p.jpg")
    image.save(tmp_path / whole)
    image.save(tmp_path / progressive, progressive=True)
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "import test_image_corpus as corpus\n"
        "import resnet_explore as rx\n"
        "rx.decode_image(corpus.encode(corpus.photo(), 'JPEG'))\n"
        "before = corpus.peak()\n"
        "try: rx.decode_image(sys.argv[2])\n"
        "except rx.ImageError as error: refused = str(error)\n"
        "print(rx.decode_image(sys.argv[1]).size, 'one scan' in refused, corpus.peak() - before, sep=';')"
    )
    paths = [str(tmp_path / name) for name in (whole, progressive)]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
    size, refused, more = done.stdout.split(";")
    assert (size, refused) == ("(3000, 2250)", "True")
    assert float(more) < 150


def peak():
    """Megabytes that this process has held at most, without those of the one that started it."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts what held the parent into ru_maxrss
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
