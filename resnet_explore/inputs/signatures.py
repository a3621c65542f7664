"""What a file is by its first bytes, for the sentence that says why it can't be used as an image."""

from codecs import getincrementaldecoder

ACCEPTED = "give a PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF image"

# First bytes, by offset. Pillow does not recognise one of its own formats that was cut off in its header.
_OWN = (
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (8, b"WEBP", "a WebP image"),
    (0, b"II*\0", "a TIFF image"),
    (0, b"MM\0*", "a TIFF image"),
)
_OTHER = (
    (0, b"%PDF", "a PDF"),
    (0, b"%!PS", "a PostScript file"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\0\0\1\0", "an icon (ICO)"),
    (4, b"jP  ", "a JPEG 2000 image"),
    (4, b"JXL ", "a JPEG XL image"),
    (8, b"WAVE", "a sound file"),
    (8, b"AVI ", "a video"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (4, b"ftypavi", "an AVIF image, damaged or of a kind that Pillow cannot read"),
    (4, b"ftyp", "a video"),
    (0, b"version https://git-lfs", "a Git LFS pointer whose file was not fetched"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def own_kind(head: bytes) -> str | None:
    """Return "a PNG image" or another kind that is read here, None for all others."""
    return _looks_like(head, _OWN)


def not_an_image(head: bytes, label: str) -> str:
    """Return the sentence on a file that Pillow doesn't recognise; `label` names it."""
    if own := own_kind(head):
        return f"{label} begins like {own} but is damaged or cut off."
    kind = _looks_like(head, _OTHER) or _kind_of_text(head)
    return f"{label} is not an image that can be read{kind and f' but looks like {kind}'}: {ACCEPTED}."


def is_heif(head: bytes) -> bool:
    """Whether it is a HEIC photo."""
    # "mif1" may be the first brand of an AVIF file too; then "avif" is among the brands that follow
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS and b"avif" not in head[:64]


def _looks_like(head: bytes, signatures: tuple[tuple[int, bytes, str], ...]) -> str | None:
    return next((noun for offset, start, noun in signatures if head.startswith(start, offset)), None)


def _kind_of_text(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "an SVG drawing"
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page"
    try:
        getincrementaldecoder("utf-8")().decode(head)  # incremental: its end may cut a character in two
    except UnicodeDecodeError:
        return ""
    return "" if b"\0" in head else "a text file"
