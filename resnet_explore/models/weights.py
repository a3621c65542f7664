"""Trained weights: those that ship with us, torchvision's, and a person's own files. Never a raw pickle."""

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.error import URLError

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from resnet_explore.errors import ExploreError, unknown, why_not_downloaded
from resnet_explore.models.config import HRNetConfig, ResNetConfig
from resnet_explore.paths import shipped

_TORCHVISION = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2"),
)
# What a file of weights may be called; all but the first are torch.save's.
_FILES = (".safetensors", ".pth", ".pt", ".th", ".ckpt", ".bin", ".tar")
# Where training scripts put the state_dict among other things.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net")
# What DataParallel and torch.compile put in front of names.
_PREFIXES = ("module.", "_orig_mod.")


@dataclass(frozen=True)
class Fit:
    """How weights and a network went together; `str()` of it is a report.

    loaded       names of the network that got a value
    missing      names of the network for which there was none
    unexpected   names that the network doesn't have
    reshaped     names of both, but of different shapes
    trained_as   where the network that was trained differs: "skip_scale=0.0, here 1.0"
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]
    trained_as: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether everything fitted."""
        return not (self.missing or self.unexpected or self.reshaped)

    @property
    def problems(self) -> dict[str, tuple[str, ...]]:
        """What did not fit, in words, with the names."""
        found = {"they lack": self.missing, "it lacks": self.unexpected, "another shape in": self.reshaped}
        return {problem: names for problem, names in found.items() if names}

    def __str__(self) -> str:
        lines = [
            f"{len(self.loaded)} of {len(self.loaded) + len(self.missing) + len(self.reshaped)} values loaded"
        ]
        for name in ("missing", "unexpected", "reshaped"):
            lines += [f"{name}: {key}" for key in getattr(self, name)]
        lines += [f"trained as a network with {difference}" for difference in self.trained_as]
        return "\n".join(lines)


@dataclass(frozen=True)
class Weights:
    """Weights that were found: their values, what they fit, and what is known of how they came about."""

    source: str
    state: Mapping[str, Tensor] = field(repr=False)
    config: ResNetConfig | HRNetConfig | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def load_into(self, network: nn.Module, partly: bool = False) -> Fit:
        """Copy the values into `network`, in its precision, and say what fitted.

        Raises ExploreError and changes nothing if any value does not fit, with `partly` if none does.
        """
        own = network.state_dict()
        # Old files lack batch norm's step counter, which nothing reads in eval mode.
        counters = {k: torch.zeros_like(v) for k, v in own.items() if k.endswith("num_batches_tracked")}
        state = {**counters, **{_name_in(own, key): value for key, value in self.state.items()}}
        fitting = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape}
        fit = Fit(
            source=self.source,
            loaded=tuple(fitting),
            missing=tuple(k for k in own if k not in state),
            unexpected=tuple(k for k in state if k not in own),
            reshaped=tuple(k for k in state if k in own and k not in fitting),
            trained_as=_differences(self.config, getattr(network, "config", None)),
        )
        if partly and set(fitting) <= set(counters):
            raise ExploreError(f"None of the weights in {self.source} fit this network.")
        if not partly:
            for problem, keys in fit.problems.items():
                shown = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
                raise ExploreError(f"The weights in {self.source} don't fit this network: {problem} {shown}.")
        network.load_state_dict(fitting, strict=False)
        return fit


def _differences(theirs: Any, ours: Any) -> tuple[str, ...]:
    if theirs is None or type(theirs) is not type(ours):
        return ()
    values = [(f.name, getattr(theirs, f.name), getattr(ours, f.name)) for f in fields(theirs)]
    return tuple(f"{name}={one!r}, here {other!r}" for name, one, other in values if one != other)


def load_weights(network: nn.Module, path: str | Path) -> Fit:
    """Copy what fits from a .safetensors or .pth file into any network, and report what does not.

    Prefixes that wrappers put in front of names (`module.`, `_orig_mod.`) don't matter, and neither does a
    dict around the state_dict. What the file has no fitting value for stays as it is, and so does what the
    network computes: where a file of ours comes from another one, such as with other factors on its skips,
    the report says so, and `build(name, weights=path)` builds that one. A .pth is opened with weights_only:
    one that would run code is refused. Raises ExploreError if nothing fits or the file can't be read.
    """
    return _from_file(Path(path)).load_into(network, partly=True)


@dataclass(frozen=True)
class ShippedWeights:
    """One line of `list_weights()`: what ships, its errors in percent, and how to make it again.

    `build(model, weights=weights)` loads it. Weights of a step ("cifar10@10": before step 10) have no errors.
    """

    model: str
    weights: str
    train_error: float | None
    test_error: float | None
    data: str
    provenance: str


def list_weights(pattern: str = "*") -> list[ShippedWeights]:
    """Return what ships with us, for models whose names match a shell pattern."""
    rows = []
    for path in sorted(shipped("data").glob("*/*.safetensors")):
        model, at, step = path.stem.partition("@")
        if not fnmatchcase(model, pattern):
            continue
        about = _kept_header(path, path.stat().st_mtime_ns)
        rows.append(
            ShippedWeights(
                model=model,
                weights=f"{path.parent.name}{at}{step}",
                train_error=about.get("train_error"),
                test_error=about.get("test_error"),
                data=about["data"],
                provenance=about["provenance"],
            )
        )
    return rows


def find_weights(model: str | None, weights: str) -> Weights:
    """Find weights by name or path for the model of that name (None if it has none).

    Raises ExploreError for a name that is neither shipped, nor torchvision's, nor a file; for a damaged file;
    and for torchvision weights that are neither in its cache nor to be downloaded.
    """
    path = Path(weights)
    if path.suffix in _FILES:
        return _from_file(path)
    if path.exists():
        raise ExploreError(f"{path} can't hold weights: a file of them ends in {', '.join(_FILES)}.")
    data, at, step = weights.partition("@")
    ours = shipped("data", data, f"{model}{at}{step}.safetensors")
    if model is not None and ours.is_file():
        about = _header(ours)
        return Weights(str(ours), load_file(ours), _config_from(ours, about), about)
    theirs = torchvision_names(model)
    if weights in theirs:
        return _from_torchvision(str(model), weights)
    names = [*theirs, *sorted({row.weights for row in list_weights(model or "*")})]
    hint = "" if names else f"Trained weights that ship: {what_ships()}."
    raise unknown(f"weights for {model}:" if model else "weights:", weights, names, hint)


def _sets() -> str:
    """Return the names of the sets of weights that ship."""
    names = sorted({row.weights for row in list_weights() if "@" not in row.weights})
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "none"


def what_ships() -> str:
    """Say for which networks trained weights ship, and what they are called; "none" if none does."""
    depths: dict[str, dict[str, list[int]]] = {}
    for row in list_weights():
        found = re.fullmatch(r"(.*?)(\d+)", row.model)
        if found and "@" not in row.weights:  # which is a recorded step of the same networks
            depths.setdefault(row.weights, {}).setdefault(found[1], []).append(int(found[2]))
    parts = []
    for weights, families in depths.items():
        named = [f"{name}{', '.join(map(str, sorted(found)))}" for name, found in families.items()]
        parts.append(f"{' and '.join(named)} with weights={weights!r}")
    return "; ".join(parts) or "none"


def _header(path: Path) -> dict[str, Any]:
    """Return a file's header; our own hold JSON, anybody else's are left as text."""
    with safe_open(path, framework="pt") as file:
        header = dict(file.metadata() or {})
    if "config" not in header:
        return header
    about = {key: json.loads(text) for key, text in header.items()}
    if "data" in about:  # older files say "160x160"
        about["data"] = re.sub(r"(\d)x(\d)", r"\1×\2", about["data"])
    return about


@functools.lru_cache(maxsize=256)
def _kept_header(path: Path, _changed: int) -> Mapping[str, Any]:
    """Return the header of a file that ships. Kept, as each list of what ships asks for all of them."""
    return _header(path)


def _config_from(path: Path, about: Mapping[str, Any]) -> ResNetConfig | HRNetConfig | None:
    if "config" not in about:
        return None
    given = about["config"]
    for kind in (ResNetConfig, HRNetConfig):
        if set(given) <= {f.name for f in fields(kind)}:
            return kind(**given)
    raise ExploreError(f"{path} holds a network's config with fields that this version does not know.")


def _from_file(path: Path) -> Weights:
    if not path.is_file():
        raise ExploreError(f"There is no weights file {path}.")
    try:
        if path.suffix == ".safetensors":
            about = _header(path)
            state: Any = load_file(path)
        else:
            state, about = torch.load(path, map_location="cpu", weights_only=True), {}
    except UnpicklingError:
        raise ExploreError(
            f"{path} holds more than tensors, so opening it could run code; save its state_dict alone."
        ) from None
    # A file of something else fails anywhere in torch's reader: "hello" with KeyError(101).
    except (SafetensorError, RuntimeError, EOFError, OSError, KeyError, ValueError, IndexError) as error:
        raise ExploreError(f"{path} is no readable weights file ({str(error).splitlines()[0]}).") from None
    if isinstance(state, dict):
        state = next((state[name] for name in _WRAPPERS if isinstance(state.get(name), dict)), state)
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise ExploreError(f"{path} holds no state_dict of tensors.")
    return Weights(str(path), state, _config_from(path, about), about)


def _name_in(own: Mapping[str, Tensor], key: str) -> str:
    """Return what this network calls a weight: akamaster's CIFAR networks call the classifier `linear`."""
    while key not in own and key.startswith(_PREFIXES):
        key = key.split(".", 1)[1]
    classifier = "fc." + key.removeprefix("linear.")
    return classifier if key not in own and key.startswith("linear.") and classifier in own else key


def torchvision_names(model: str | None) -> list[str]:
    """Return the names of torchvision's weights for a model, the best last."""
    if model not in _TORCHVISION:
        return []
    from torchvision.models import get_model_weights

    return [weights.name for weights in get_model_weights(model)]


def _from_torchvision(model: str, weights: str) -> Weights:
    from torchvision.models import get_model_weights

    entry = get_model_weights(model)[weights]
    try:
        state = entry.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError) as error:
        raise ExploreError(
            f"The weights of {model}, {weights}, could not be downloaded ({why_not_downloaded(error)}); "
            f"{_sets()} are here already, and rx.list_weights() says for which networks."
        ) from None
    crop = entry.transforms()
    about = {
        "data": "ImageNet-1k",
        "classes": entry.meta["categories"],
        "mean": crop.mean,
        "std": crop.std,
        "input_size": (3, crop.crop_size[0], crop.crop_size[0]),
    }
    return Weights(f"torchvision {model} {weights}", state, about=about)
