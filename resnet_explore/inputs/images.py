"""A person's image made safe, upright and RGB; the pixels of it that a network sees; sample photos."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from resnet_explore.errors import ExploreError
from resnet_explore.inputs.large_jpeg import reduced
from resnet_explore.inputs.signatures import ACCEPTED, is_heif, not_an_image, own_kind

if TYPE_CHECKING:  # decoding needs no torch, so only `to_batch` imports it
    import torch

PIXEL_LIMIT = 64_000_000
"""Most pixels (width times height) that are decoded: 256 MB in memory; a 50-megapixel phone photo passes."""

_ENOUGH = PIXEL_LIMIT // 4  # pixels that a larger JPEG is reduced to at most
_REMARK = "resnet_explore"  # where a decoded picture's `info` holds what `remark` returns
_ANIMATIONS = ("GIF", "WEBP", "PNG", "AVIF")

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")

_UPRIGHT = {  # EXIF 2.32, tag 0x0112: the value says how the camera was held; the transposition undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112

_one_at_a_time = threading.RLock()


class ImageError(ExploreError):
    """Something that cannot be used as an image; the sentence says what it is instead, or what is wrong."""


def decode_image(source: bytes | bytearray | memoryview | str | Path) -> Image.Image:
    """Return an image file as an upright RGB picture that no longer depends on the file.

    `source` is the file's bytes or its path: PNG, JPEG, WebP, GIF and TIFF (first frame or page), BMP,
    AVIF where Pillow has it, HEIC with the extra `resnet-explore[heic]`. EXIF orientation is applied;
    transparency is laid on white; palettes, grey, 1-bit and CMYK become RGB. Deep grey keeps its range:
    16-bit values are divided by 257, 32-bit and float ones are scaled from the smallest of 0..1 (floats
    only), 0..255 and 0..65535 that holds them all, else from their own minimum and maximum. Colour
    profiles are not applied, as torchvision does not apply them either. Of a JPEG with more than
    `PIXEL_LIMIT` pixels a half, quarter or eighth of the sides is decoded, if that takes no more memory
    (not of a progressive one). What is not shown of a file, `remark` says.

    Raises `ImageError` for what is not an image, is damaged or cut off, holds values that are not finite
    numbers, or has more than `PIXEL_LIMIT` pixels in all other forms; that is checked from the header,
    before anything is decoded.
    """
    with quiet():
        return decode_unguarded(source)


@contextmanager
def quiet() -> Iterator[None]:
    """Let no Pillow warning out, and turn its warning of a decompression bomb into an error.

    `warnings.catch_warnings` swaps a list that all threads share; two threads inside it could leave it
    swapped, hence one at a time. Whoever decodes in many threads enters once, around them all.
    """
    with _one_at_a_time, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode_unguarded(source: bytes | bytearray | memoryview | str | Path) -> Image.Image:
    """`decode_image` for callers that are inside `quiet()` already."""
    stream, label = _open_source(source)
    with stream:
        head = stream.read(1024)
        if not head:
            raise ImageError(f"{label} is empty: {ACCEPTED}.")
        try:
            return _decode(stream, head, label)
        except ImageError:
            raise
        except UnidentifiedImageError:
            raise ImageError(not_an_image(head, label)) from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise ImageError(f"{label} has more than {PIXEL_LIMIT:,} pixels, the most allowed.") from None
        except Exception as error:  # on damaged files Pillow's readers let nearly every type of error out
            kind = own_kind(head) or "an image"
            raise ImageError(f"{label} begins like {kind} but is damaged or cut off.") from error


def _open_source(source: object) -> tuple[BinaryIO, str]:
    """Return what to read from, and how to call it in a sentence."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
        return BytesIO(data), f"The data ({len(data):,} bytes)"
    if not isinstance(source, (str, Path)):
        raise ImageError(f"An image is given as bytes or as a path, not as {type(source).__name__}.")
    if str(source).startswith(("http://", "https://")):
        raise ImageError(f"{str(source)!r} is a web address: save the image and give the path of the file.")
    try:
        path = Path(source).expanduser()
        if not path.exists():
            raise ImageError(f"There is no file {str(source)!r}.")
        if not path.is_file():
            raise ImageError(f"{str(source)!r} is not a file: {ACCEPTED}.")
        return path.open("rb"), repr(path.name)
    except ImageError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: the home of an unknown ~user
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{str(source)!r} cannot be opened: {reason}.") from None


def _decode(stream: BinaryIO, head: bytes, label: str) -> Image.Image:
    Image.init()
    formats = [name for name in _FORMATS if name in Image.OPEN]  # Image.open raises KeyError on others
    if is_heif(head):
        formats += _heif(label)
    image, words = _opened(stream, formats, label)
    with image:
        image.load()
        require_finite_pixels(image, label)
        rgb = _to_rgb(_upright(image))
        words = words or _of_several(image)  # last, as it moves on in the file
    # No more than this: an orientation tag left here would turn the picture again when it is saved.
    rgb.info = {_REMARK: words} if words else {}
    return rgb


def remark(image: Image.Image) -> str:
    """Return what of the file a picture of `decode_image` does not show, in some words; "" where all is."""
    return str(image.info.get(_REMARK, ""))


def _opened(stream: BinaryIO, formats: list[str], label: str) -> tuple[Image.Image, str]:
    """Return a picture of bearable size that is not decoded yet, and in words how it was reduced, if so."""
    has = f"has more than {PIXEL_LIMIT:,} pixels, the most allowed"
    try:
        image = Image.open(stream, formats=formats)
        width, height = image.size
        if width * height <= PIXEL_LIMIT:
            return image, ""
        has = f"has {width}×{height} pixels; at most {PIXEL_LIMIT:,} are allowed"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        pass
    stream.seek(0)
    if stream.read(3) != b"\xff\xd8\xff":
        raise ImageError(f"{label} {has}.")
    smaller = reduced(stream, _ENOUGH)
    if smaller is None:
        raise ImageError(f"{label} {has}; of JPEGs only those of one scan, not progressive, may have more.")
    image, (width, height) = smaller
    return image, f"read at {image.width}×{image.height} instead of {width}×{height} pixels"


def _of_several(image: Image.Image) -> str:
    try:
        several = getattr(image, "is_animated", False)
    except Exception:  # what is behind the first frame may be damaged
        return ""
    if several and image.format in _ANIMATIONS:
        return "an animation, of which the first frame is used"
    return "several pages, of which the first is used" if several and image.format == "TIFF" else ""


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = image.getexif().get(_ORIENTATION)
    except Exception:  # a broken EXIF block should not cost anybody the photo beside it
        turn = None
    return image.transpose(_UPRIGHT[turn]) if turn in _UPRIGHT else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = _grey_of_16_bits(image)
    elif image.mode in ("I", "F"):
        image = _grey_of_any_range(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert("RGB")  # always a new object, also from RGB


def _grey_of_16_bits(image: Image.Image) -> Image.Image:
    """Return 0..65535 as 0..255, rounded; Pillow's own conversion clips at 255."""
    values = np.asarray(image).astype(np.int32)
    grey = ((values + 128) // 257).astype(np.uint8)
    if getattr(image, "tag_v2", {}).get(262) == 0:  # TIFF's WhiteIsZero, which Pillow applies to 8 bits only
        grey = 255 - grey
    if "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    return Image.fromarray(grey)


def _grey_of_any_range(image: Image.Image) -> Image.Image:
    """Return 32-bit integers or floats, whose nominal range no file states, as 0..255."""
    values = np.asarray(image, dtype=np.float64)
    low, high = values.min(), values.max()
    tops = (255, 65535) if image.mode == "I" else (1, 255, 65535)
    if low >= 0 and high <= tops[-1]:
        low, high = 0.0, next(top for top in tops if high <= top)
    return Image.fromarray(np.rint((values - low) * (255 / ((high - low) or 1))).astype(np.uint8))


def _heif(label: str) -> list[str]:
    try:
        import_module("pillow_heif").register_heif_opener()
    except ImportError:
        raise ImageError(
            f"{label} is a HEIC photo, which needs the extra `pip install 'resnet-explore[heic]'`; "
            "or save it as JPEG."
        ) from None
    return ["HEIF"]


# --- the pixels that a network sees ----------------------------------------------------------------------


def square_crop(image: Image.Image, size: int) -> Image.Image:
    """Return the `size` x `size` pixels that a network sees: short side resized, then the centre cut out.

    Equal to torchvision's `Resize(size)` (bilinear, antialiased) and `CenterCrop(size)` on the same PIL
    image, to the bit; the mode (RGB or L) is kept. Nothing of the short side is lost. Of a strip so thin that
    it would be resized to more than `PIXEL_LIMIT` pixels the centre is cut out first.
    """
    if not isinstance(size, int) or size < 1:
        raise ExploreError(f"size must be a positive whole number of pixels, not {size!r}.")
    short, long = sorted(image.size)
    new_long = int(size * long / short)
    if size * new_long > PIXEL_LIMIT:
        left, top = (image.width - short) // 2, (image.height - short) // 2
        return square_crop(image.crop((left, top, left + short, top + short)), size)
    width, height = (size, new_long) if image.width <= image.height else (new_long, size)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def to_batch(image: Image.Image, size: int, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Return `square_crop(image, size)` as a network's input: float32 of shape (1, C, size, size).

    Values are (v / 255 - mean) / std with one mean and std per channel, in units of 0..1, as an `ImageSet`
    holds them. Three of them take the image as RGB, one takes it as grey (for networks of digits).
    """
    import torch

    if len(mean) not in (1, 3) or len(std) != len(mean):
        raise ExploreError(
            f"mean and std must have one value each, or three each, not {len(mean)} and {len(std)}."
        )
    name = getattr(image, "filename", "")  # "" where it is known by none
    require_finite_pixels(image, repr(Path(name).name) if name else "The image")
    seen = square_crop(image.convert("RGB" if len(mean) == 3 else "L"), size)
    pixels = torch.from_numpy(np.array(seen).reshape(size, size, len(mean))).permute(2, 0, 1)[None]
    return standardise(pixels, mean, std)


def require_finite_pixels(image: Image.Image, label: str) -> None:
    """Raise ImageError for a picture of floats with NaN or infinity among them, which have no colour."""
    if image.mode == "F" and not np.isfinite(np.asarray(image)).all():
        raise ImageError(f"{label} holds values that are not finite numbers.")


def require_finite(images: torch.Tensor) -> None:
    """Raise ImageError that names those of a batch (N, ...) with NaN or infinity among their values."""
    import torch

    bad = (~torch.isfinite(images).flatten(1).all(1)).nonzero().flatten().tolist()
    if bad:
        more = f" and {len(bad) - 1} more of {len(images)} hold" if len(bad) > 1 else " holds"
        raise ImageError(f"image {bad[0]}{more} values that are not finite numbers.")


def standardise(pixels: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Return uint8 pixels (..., C, H, W) as contiguous float32 values (v / 255 - mean) / std."""
    import torch

    shift, scale = (
        torch.tensor(v, dtype=torch.float32, device=pixels.device).reshape(-1, 1, 1) for v in (mean, std)
    )
    return pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(255).sub_(shift).div_(scale)


# --- photos that are there offline ------------------------------------------------------------------------


@dataclass(frozen=True)
class SamplePhoto:
    """A photo inside scikit-image's or scikit-learn's wheel; `credit` (author, licence) belongs beside it."""

    name: str
    title: str
    credit: str
    package: str
    file: str

    def load(self) -> Image.Image:
        """Return the photo as RGB, read from the installed package; nothing is ever downloaded."""
        spec = find_spec(self.package)  # finds the folder without importing the package
        folder = (spec.submodule_search_locations or [""])[0] if spec else ""
        return decode_image(Path(folder, self.file))


_PHOTOS = tuple(
    SamplePhoto(name, title, credit, package, file)
    for name, title, credit, package, file in (
        ("cat", "Chelsea the cat", "Stefan van der Walt, CC0", "skimage", "data/chelsea.png"),
        ("coffee", "A cup of espresso", "Rachel Michetti, CC0", "skimage", "data/coffee.png"),
        ("rocket", "A Falcon 9 before its launch", "SpaceX, public domain", "skimage", "data/rocket.jpg"),
        ("astronaut", "Eileen Collins", "NASA, public domain", "skimage", "data/astronaut.png"),
        ("camera", "A man behind a camera", "Lav Varshney, CC0", "skimage", "data/camera.png"),
        (
            "temple",
            "A tower of the Summer Palace, Beijing",
            "danielbuechele, flickr.com/photos/danielbuechele/6061409035, CC BY 2.0",
            "sklearn",
            "datasets/images/china.jpg",
        ),
        (
            "flower",
            "A dahlia",
            "vultilion, flickr.com/photos/vultilion/6056698931, CC BY 2.0",
            "sklearn",
            "datasets/images/flower.jpg",
        ),
    )
)


def sample_photos() -> dict[str, SamplePhoto]:
    """Return the photos that are there offline, by name; `sample_photos()["cat"].load()` is a PIL image."""
    return {photo.name: photo for photo in _PHOTOS}
