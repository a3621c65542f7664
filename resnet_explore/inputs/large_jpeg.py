"""A JPEG with more pixels than are decoded whole, read at a half, a quarter or an eighth of its sides."""

from typing import BinaryIO

from PIL import JpegImagePlugin

_SCALES = (2, 4, 8)  # those of libjpeg's decoder, which then makes no larger picture on its way

Reduced = tuple[JpegImagePlugin.JpegImageFile, tuple[int, int]]


def reduced(stream: BinaryIO, most: int) -> Reduced | None:
    """Return a JPEG, not loaded yet, that will have at most `most` pixels, and its size in the file.

    None where that can't be. All its data is decoded, but only a few rows are held at a time. That is so for
    a file of one scan: of a progressive one, or one with a scan for each colour, libjpeg holds everything.
    """
    stream.seek(0)
    image = JpegImagePlugin.JpegImageFile(stream)  # not Image.open, which refuses large ones
    width, height = image.size
    scale = next((s for s in _SCALES if -(-width // s) * -(-height // s) <= most), 0)
    if not scale or not _in_one_scan(image, stream):
        image.close()
        return None
    image.draft(None, (width // scale, height // scale))
    return image, (width, height)


def _in_one_scan(image: JpegImagePlugin.JpegImageFile, stream: BinaryIO) -> bool:
    """Whether the first scan holds every colour (ITU-T T.81, B.2.3); Pillow has just read its header."""
    length = 6 + 2 * image.layers
    end = stream.tell()
    stream.seek(end - length)
    header = stream.read(length)
    whole = header[:3] == length.to_bytes(2, "big") + bytes([image.layers])
    return whole and not image.info.get("progressive")
