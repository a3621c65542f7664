"""A still picture beside an explorer's live page, for whoever opens the notebook without a kernel.

A notebook that was saved and reopened, nbviewer and an HTML export have no kernel, so the live page stays
away. The cell has two outputs: a picture, and the page, which hides the picture as long as it stands.
"""

import base64
import html
import threading
from typing import TYPE_CHECKING, Any

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.core.runner import THREADS

if TYPE_CHECKING:
    from resnet_explore.widgets.core.explorer import Explorer

_NOBODY_WATCHES = 30.0  # seconds that a picture may take where a notebook is run from end to end
# What JupyterLab writes in the page's place, right behind the picture, where there is no kernel.
_NO_ERROR = (
    "<style>.jp-OutputArea-child:has(.rx-still) + .jp-OutputArea-child "
    ".jupyter-widgets:not(:has(.rx-page)) { display: none; }</style>"
)
_HINT = "A picture of the explorer. Run this cell to move its sliders."


def show_with_still(explorer: "Explorer") -> None:
    """Show an explorer as the output of a cell: a picture for later, once it is drawn, and the page."""
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:  # a terminal, which has no page
        display({"text/plain": repr(explorer)}, raw=True)
        return
    handle = display({"text/html": "<span></span>", "text/plain": ""}, raw=True, display_id=True)
    name = str(explorer.model_id)  # which one that is closed meanwhile has no more
    live = explorer._repr_mimebundle_()
    data, about = live if isinstance(live, tuple) else (live or {}, {})
    # Words would stand in the place of the page where there is no kernel.
    display({**data, "text/plain": ""}, metadata=about, raw=True)
    drawing = threading.Thread(target=_draw, args=(explorer, handle, name), name=THREADS)
    drawing.start()
    # A notebook's editor says in which cell it runs something. What says nothing runs a notebook from end to
    # end, as nbconvert does, and stops the kernel after the last cell.
    if "cellId" not in kernel.get_parent().get("metadata", {}):
        drawing.join(_NOBODY_WATCHES)


def _draw(explorer: "Explorer", handle: Any, name: str) -> None:
    """Put the picture into the first output once all is computed."""
    while not explorer.wait(1.0):
        if not threading.main_thread().is_alive():
            return
    handle.update({"text/html": _picture(explorer, name), "text/plain": ""}, raw=True)


def _picture(explorer: "Explorer", name: str) -> str:
    """Return HTML with what is shown now, its headline in words too; folded behind what is asked."""
    headline = html.escape(str(explorer.settled_page().headline))
    try:
        data = base64.b64encode(explorer.file(".png")).decode()
        shown = f'<img src="data:image/png;base64,{data}" alt="{headline}" style="width: 100%">'
    except ExploreError:  # a view of words has none
        shown = f"<p><b>{headline}</b></p>"
    asked = explorer.open_question
    if asked is not None:
        choices = "".join(f"<li>{html.escape(choice.label)}</li>" for choice in asked.choices)
        shown = (
            f"<p><b>{html.escape(asked.text)}</b></p><ul>{choices}</ul>"
            f"<details><summary>Show what was measured</summary>{shown}</details>"
        )
    style = f'class="rx-still" data-of="{name}" style="max-width: 1120px"'
    return f"{_NO_ERROR}<div {style}>{shown}<p>{_HINT}</p></div>"
