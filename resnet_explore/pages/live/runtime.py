"""The runtime that networks run on in a browser: onnxruntime-web, fetched once and kept, never committed."""

import base64
import hashlib
import io
import os
import tarfile
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from resnet_explore.errors import ExploreError, why_not_downloaded

VERSION = "1.30.0"
FILES = {
    "ort.wasm.min.mjs": "ort.js",
    "ort-wasm-simd-threaded.mjs": "ort-wasm.js",
    "ort-wasm-simd-threaded.wasm": "ort-wasm.wasm",
}
"""What a page loads, by the package's names: the API, what starts the WebAssembly, and that itself (14 MB; 4
where a host compresses). Pages call them otherwise, as many hosts do not know what a .mjs is."""

_URL = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
# As the registry states it ("dist.integrity"); npm would check the same.
_SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
_PATIENCE_S = 30


def runtime_folder() -> Path:
    """Return where the runtime is kept, beside data sets: $RESNET_EXPLORE_DATA or ~/.cache/resnet_explore."""
    home = os.environ.get("RESNET_EXPLORE_DATA") or Path.home() / ".cache" / "resnet_explore"
    return Path(home).expanduser() / f"onnxruntime-web-{VERSION}"


def fetch_runtime(folder: Path | None = None) -> Path:
    """Return the folder with `FILES`, by default `runtime_folder()`; what is not there is downloaded (30 MB).

    The archive comes from the npm registry and is checked against its SHA-512 before anything of it is kept.

    Raises ExploreError where it can't be had or is another one.
    """
    folder = folder or runtime_folder()
    if all((folder / name).is_file() for name in FILES):
        return folder
    try:
        with urlopen(_URL, timeout=_PATIENCE_S) as answer:
            archive = answer.read()
    except (OSError, HTTPException) as error:
        reason = why_not_downloaded(error)
        raise ExploreError(
            f"onnxruntime-web {VERSION} could not be downloaded to {folder} ({reason})."
        ) from None
    unpack(archive, folder)
    return folder


def unpack(archive: bytes, folder: Path) -> None:
    """Keep `FILES` of an archive, each whole or not at all; raise ExploreError if it is another archive."""
    found = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != _SHA512:
        raise ExploreError(f"What came as onnxruntime-web {VERSION} is another file: its SHA-512 is {found}.")
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        for name in FILES:
            inside = packed.extractfile(f"package/dist/{name}")
            if inside is None:
                raise ExploreError(f"onnxruntime-web {VERSION} has no file {name}.")
            part = folder / f"{name}.{os.getpid()}"
            part.write_bytes(inside.read())
            part.replace(folder / name)  # two that fetch at once don't read each other's halves
