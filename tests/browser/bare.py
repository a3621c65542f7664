"""A page of the explorers' own script and style without kernel and notebook, showing a view."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Page

from resnet_explore.widgets.browser.bundle import STYLE, bundle
from resnet_explore.widgets.core.view import SCHEMA, Encoded, View, encode, encode_aside

BYTES = "const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);"
# In place of the model that a kernel would stand behind; `state` holds its values, `asked` what was sent to it.
STAND_IN = """
const heard = {};
window.asked = [];
window.model = {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; heard[`change:${name}`]?.(); },
    on: (name, handler) => { heard[name] = handler; },
    off: () => {}, save_changes: () => {}, send: (content) => window.asked.push(content),
};"""
_PAGE = """<!doctype html><meta charset="utf-8"><style>body {{ margin: 8px; }} {css}</style>
<body><main></main>
<script>
window.dress = (theme) => {{
    document.body.dataset.jpThemeLight = String(theme === "light");
    document.body.style.background = theme === "light" ? "#fff" : "#15171b";
}};
dress("{theme}");
</script>
<script type="module">
{script}
{bytes}
const read = (text) => {{
    const message = JSON.parse(text);
    return {{ ...message, buffers: message.buffers.map(bytes) }};
}};
const state = {{ ...JSON.parse({state}), _view: read({message}), _aside: read({aside}), _busy: "", _problem: "", _code: "" }};
{stand_in}
window.receive = (text) => window.model.set("_view", read(text));
window.follow = (state, view, aside) => {{
    for (const [name, value] of Object.entries(JSON.parse(state))) window.model.set(name, value);
    window.receive(view);
    window.model.set("_aside", read(aside));
}};
window.widget = widget;
window.leave = widget.render({{ model: window.model, el: document.querySelector("main") }});
</script></body>"""


def message(view: View, state: Mapping[str, Any], count: int = 1) -> str:
    """Return a view as the kernel sends it, as JSON with its buffers in base64."""
    encoded = encode(view)
    return json.dumps(
        {
            "count": count,
            "schema": SCHEMA,
            "fields": list(state),
            "made_for": {name: value for name, value in state.items() if name not in encoded.local},
            "formats": [],
            "tree": encoded.tree,
            "buffers": _buffers(encoded),
        }
    )


def _aside(view: View) -> str:
    encoded = encode_aside(view)
    return json.dumps({"tree": encoded.tree, "buffers": _buffers(encoded)})


def _buffers(encoded: Encoded) -> list[str]:
    return [base64.b64encode(buffer).decode() for buffer in encoded.buffers]


def open_view(
    page: Page, view: View, state: Mapping[str, Any], width: int = 1000, theme: str = "light"
) -> Page:
    """Show a view in an empty page. `receive(message)` in the page is what a new view does."""
    page.set_viewport_size({"width": width, "height": 800})
    page.set_content(
        _PAGE.format(
            css=STYLE.read_text(),
            bytes=BYTES,
            stand_in=STAND_IN,
            script=bundle().replace("export default", "const widget ="),
            state=json.dumps(json.dumps(dict(state))),
            message=json.dumps(message(view, state)),
            aside=json.dumps(_aside(view)),
            theme=theme,
        )
    )
    return page


def follow_with(page: Page, view: View, state: Mapping[str, Any], count: int) -> None:
    """Show a view in place of the one that `open_view` has opened, as when a person goes on; `count` goes up."""
    given = [json.dumps(dict(state)), message(view, state, count), _aside(view)]
    page.evaluate("(given) => window.follow(...given)", given)


def dress(page: Page, theme: str) -> None:
    """Change to the "light" or "dark" theme, as JupyterLab does."""
    page.evaluate("(theme) => window.dress(theme)", theme)
