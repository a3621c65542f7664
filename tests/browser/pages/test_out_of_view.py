"""The rules of hosts that can't be had here: scripts come as blobs, and a page may be made out of view.

VS Code loads a widget's script so, and renders nothing of an output that is not in sight.
"""

import json

import pytest
from playwright.sync_api import expect

from resnet_explore.widgets.browser.bundle import STYLE, bundle
from tests.browser.bare import BYTES, STAND_IN, message
from tests.widgets.made_up import PowerExplorer

_LOAD = """async ([script, state, text]) => {
    const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    const { render } = (await import(address)).default;
    const el = document.createElement("div");
    window.take(state, text);
    window.leave = render({ model: window.model, el });
    window.el = el;
}"""


@pytest.fixture
def power():
    explorer = PowerExplorer()
    assert explorer.wait(20)
    yield explorer
    explorer.close()


@pytest.mark.parametrize("place", ["nowhere", "hidden"])
def test_a_page_that_is_made_out_of_view_is_laid_out_once_it_is_seen(bare_page, power, place):
    page = bare_page()
    page.set_viewport_size({"width": 1000, "height": 800})
    page.set_content(
        f"<!doctype html><style>{STYLE.read_text()}</style><main></main>"
        f"<script type='module'>{BYTES}let state = {{}};{STAND_IN}"
        "window.take = (values, text) => { const view = JSON.parse(text);"
        "state = { ...values, _view: { ...view, buffers: view.buffers.map(bytes) }, _aside: {} }; };</script>"
    )
    state = vars(power.state)
    values = {**state, "_busy": "", "_problem": "", "_code": "", "_call": "", "_said": {}, "_heard": 0}
    page.evaluate(_LOAD, [bundle(), json.loads(json.dumps(values)), message(power.page, state)])
    if place == "hidden":
        page.evaluate("el.hidden = true; document.querySelector('main').append(el)")
        page.wait_for_timeout(50)
        page.evaluate("el.hidden = false")
    else:
        page.evaluate("document.querySelector('main').append(el)")
    expect(page.locator(".rx-headline")).to_have_text("2 to the 2 is 4.")
    chart = page.locator(".rx-plot").first
    expect(chart).to_be_visible()
    page.wait_for_function("document.querySelector('.rx-plot').getBoundingClientRect().width > 500")
    page.get_by_role("slider", name="Power").press("ArrowRight")
    expect(page.locator(".rx-headline")).to_have_text("2 to the 3 is 8.")
    page.evaluate("window.leave()")
