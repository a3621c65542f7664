"""What explorers share whose networks look at an image: which networks, how deep, and which image."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_explore.errors import ExploreError, unknown
from resnet_explore.widgets.catalog.images import Images
from resnet_explore.widgets.catalog.networks import Networks
from resnet_explore.widgets.core.explorer import Explorer

if TYPE_CHECKING:
    from PIL import Image

_UPLOAD = "image.upload"
# The least and the most, None for no limit, of what a state says of tiles; see `Tiles`.
TILE_BOUNDS: Mapping[str, tuple[float, float | None]] = {
    "tile_page": (0, None),
    "channel": (-1, None),
    "opacity": (0, 1),
}


class LookingExplorer(Explorer):
    """An explorer whose state has the fields networks, depth and image.

    entries  the networks that the menu offers, by key
    images   the images that it offers
    given    the arguments beside the state, by name, as they were given
    """

    def __init__(
        self, entries: Mapping[str, Networks], images: Images, given: Mapping[str, Any], **state: Any
    ) -> None:
        self.entries, self.images = entries, images
        self._given = {name: value for name, value in given.items() if value is not None}
        super().__init__(**state)

    def settle(self, state: Any, names: frozenset[str]) -> Any:
        """Find networks, depth and image that go together."""
        if state.networks not in self.entries:
            if "networks" in names:
                raise unknown("networks", state.networks, self.entries)
            state = replace(state, networks=next(iter(self.entries)))
        entry = self.entries[state.networks]
        there = not entry.depths or state.depth in entry.depths
        if not there and "depth" in names:
            raise unknown("depth", state.depth, map(str, entry.depths))
        if not there or (entry.depths and self._moved(state) and "depth" not in names):
            state = replace(state, depth=entry.start)
        if "image" in names:
            self.images.picture(state.image)  # or an error with the closest names
            return state
        return replace(state, image=self.images.fitting(state.image, entry.data, entry.sample))

    @property
    def _before(self) -> Any:
        """The present state, None before there is one."""
        return getattr(self, "_state", None)

    def _moved(self, state: Any) -> bool:
        """Whether a state is of other networks than those before."""
        return self._before is None or self._before.networks != state.networks

    def _depth(self, state: Any) -> int:
        """Return the layers of the networks, 0 where there is one depth only."""
        return state.depth if self.entries[state.networks].depths else 0

    def update(self, **changes: Any) -> None:
        """Change several fields of the state together; see `Explorer.update`."""
        if {"image", "networks"} & set(changes):
            self.images.forget_words()
        super().update(**changes)

    def act(self, name: str, detail: Any, buffers: Sequence[memoryview]) -> None:
        """Take a photo that was uploaded, and look at it."""
        if name == _UPLOAD:
            key = self.images.receive(detail, buffers)
            super().update(**({} if key is None else {"image": key}))  # what was said of the file stays

    def show_image(self, image: "Image.Image | str | Path", about: str = "") -> None:
        """Show another photo, a PIL image or a file; `about` says in a few words what it is.

        Raises `ExploreError` where the networks look at what they were given, and for a file that is no
        image.
        """
        self.update(image=self.images.add(image, about))

    # --- code -----------------------------------------------------------------------------------------------

    def context_in_code(self) -> Sequence[str]:
        """Return the arguments that were given."""
        return [f"{name}={_written(name, value)}" for name, value in self._given.items()]

    def filled_in(self) -> Mapping[str, Any]:
        """Return networks, depth and image of an explorer that has just been opened."""
        state, entry, usual = self._state, self.entries[self._state.networks], self.State()
        return {
            "networks": usual.networks if usual.networks in self.entries else next(iter(self.entries)),
            "depth": entry.start if entry.depths else state.depth,
            "image": self.images.usual(state.image, usual.image, entry.data, entry.sample),
        }

    def steps_in_code(self) -> Sequence[str]:
        """Return how a photo that somebody brought is shown."""
        return self.images.steps_in_code(self._state.image)

    def notes_in_code(self) -> Sequence[str]:
        """Return what has to be filled in."""
        return [*super().notes_in_code(), *self.images.notes_in_code(self._state.image)]


def require_bounds(state: Any, bounds: Mapping[str, tuple[float, float | None]]) -> None:
    """Raise `ExploreError` for the first field whose number is outside of its bounds."""
    for name, (low, high) in bounds.items():
        value = getattr(state, name)
        if not (low <= value and (high is None or value <= high)):  # NaN is nowhere
            said = f"at least {low}" if high is None else f"from {low} to {high}"
            raise ExploreError(f"{name} must be {said}, got {value}.")


def _written(name: str, value: Any) -> str:
    """Return an argument as code, by its own name where it can't be written."""
    words = value if isinstance(value, list | tuple) else [value]
    return repr(value) if all(isinstance(one, str) for one in words) else name
