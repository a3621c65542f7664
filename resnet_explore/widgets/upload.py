"""A place to drop, paste or choose a photo; what is too big to be sent is shrunk in the browser."""

from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import traitlets as t

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.scripts import STYLE, script

Callback = Callable[[str, bytes, str], object]


class UploadZone(anywidget.AnyWidget):
    """Hands a person's photo to `on_upload` callbacks, as the bytes of a file.

    Files above 4 MB or 2048 pixels a side arrive shrunk to 1600 (strips only as far as their short side
    bears), upright as EXIF says, as PNG or, where that stays above 6 MB, JPEG; all others arrive
    byte for byte, also those that are no images. Of several files at once all are taken if `many`, else one.
    `status` is one sentence below the zone, shown as an error where `error` is true. A callback that raises
    `ExploreError` has its sentence shown so, after the file's name.
    """

    _esm = script("upload")
    _css = STYLE

    status = t.Unicode("").tag(sync=True)
    error = t.Bool(False).tag(sync=True)
    many = t.Bool(False).tag(sync=True)

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self._callbacks: list[Callback] = []
        self._batch: Any = None
        self._problems: list[str] = []
        self._remarks: list[str] = []
        self.on_msg(self._receive)

    def on_upload(self, callback: Callback, remove: bool = False) -> None:
        """Call `callback(name, data, note)` for each photo; `note` says how the browser changed it, if so.

        A text that it returns is a remark on the file, such as "only the first frame is used", and shown too.
        """
        if remove:
            self._callbacks.remove(callback)
        else:
            self._callbacks.append(callback)

    def _receive(self, _widget: object, content: dict[str, Any], buffers: Sequence[Any]) -> None:
        name, note = str(content.get("name", "photo")), str(content.get("note", ""))
        if len(buffers) != 1:
            return
        if content.get("batch") is None or content["batch"] != self._batch:
            # What was wrong with one file, or is to be said of it, is said beside those that came with it.
            self._problems, self._remarks = [], []
        self._batch = content.get("batch")
        self._tell(note or f"{name} arrived.")
        try:
            for callback in list(self._callbacks):
                said = callback(name, bytes(buffers[0]), note)
                if said and isinstance(said, str):
                    self._remarks.append(f"{name}: {said}.")
                    self._tell(note)
        except ExploreError as problem:
            sentence = str(problem)
            self._fail(sentence if name in sentence else f"{name}: {sentence}")
        except Exception as problem:
            self._fail(f"{name} could not be used ({type(problem).__name__}: {problem}).")
            raise
        finally:
            self.send(
                {"answered": content.get("id")}
            )  # the zone now shows `status`, even where it is the same again

    def say(self, sentence: str, error: bool = False) -> None:
        """Show a sentence below the zone."""
        with self.hold_sync():
            self.error, self.status = error, sentence

    def _fail(self, sentence: str) -> None:
        self._problems.append(sentence)
        self._tell()

    def _tell(self, last: str = "") -> None:
        """Say what was wrong, what is to be said of the files, and, if nothing was wrong, of the last."""
        said = [*self._problems, *self._remarks, "" if self._problems else last]
        self.say(" ".join(filter(None, said)), error=bool(self._problems))
