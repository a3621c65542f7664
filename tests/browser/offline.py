"""A page without a kernel: a widget's own script and style, a few lines standing in for its model, nothing else."""

import base64
import json
from typing import Any

import anywidget
from playwright.sync_api import Page

from resnet_explore.widgets.filmstrip.filmstrip import STYLE
from tests.browser.bare import BYTES, STAND_IN

_PAGE = """<!doctype html><meta charset="utf-8"><style>{css}</style><main></main>
<script type="module">
{esm_without_export}
{bytes}
const state = JSON.parse({state}, (_, value) => value?.base64 === undefined ? value : bytes(value.base64));
{stand_in}
window.leave = widget.render({{ model, el: document.querySelector("main") }});
</script>"""


def open_offline(page: Page, widget: anywidget.AnyWidget, width: int = 1280) -> Page:
    """Show a widget in an empty page and wait until its canvas has been drawn."""
    # `_esm` and the like are the page's own; a layout is a widget of ipywidgets.
    state = {
        name: _encoded(getattr(widget, name))
        for name in widget.trait_names(sync=True)
        if name[0] != "_" and name not in ("layout", "tabbable", "tooltip")
    }
    page.set_viewport_size({"width": width, "height": 900})
    page.set_content(
        _PAGE.format(
            css=STYLE.read_text(),
            bytes=BYTES,
            stand_in=STAND_IN,
            esm_without_export=widget._esm.replace("export default", "const widget ="),
            state=json.dumps(json.dumps(state)),
        )
    )
    page.wait_for_function("document.querySelector('.rx-film-canvas').dataset.drawn > 0")
    return page


def _encoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [_encoded(item) for item in value]
    return value
