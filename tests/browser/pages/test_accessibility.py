"""What a machine can find of barriers: axe-core on every page of every explorer, in both themes."""

from dataclasses import replace

import pytest
from axe_playwright_python.base import AXE_SCRIPT

import resnet_explore as rx
from resnet_explore.widgets.catalog.networks import usual_networks
from tests.browser.bare import dress, follow_with, open_view
from tests.browser.explorers import NAMES, QUICK, views

# All rules, experimental ones too; of the dark page, which differs by its colours, those about colours. Only text at 7:1 is not asked for: 4.5:1 is (WCAG 2.2 AA). Rules for whole
# pages don't apply to a part of one; they are JupyterLab's to meet. What is folded is read too.
_FIND = """async (theme) => {
    for (const details of document.querySelectorAll('details')) details.open = true;
    await new Promise((done) => { // canvases are drawn when pictures are decoded and widths known
        const rest = () => setTimeout(() => { watch.disconnect(); done(); }, 250);
        const watch = new MutationObserver(() => { clearTimeout(quiet); quiet = rest(); });
        let quiet = rest();
        watch.observe(document.body, { subtree: true, childList: true, attributes: true });
    });
    const asked = (ruleId) => ruleId !== 'color-contrast-enhanced' && (theme === 'light' || ruleId.includes('color'));
    const rules = Object.fromEntries(axe.getRules().map(({ ruleId }) => [ruleId, { enabled: asked(ruleId) }]));
    // Of what is well it tells one place of each rule, and of no place where it is in the tree: half of the work.
    const { passes, violations } = await axe.run('.rx-page', { rules, resultTypes: ['violations'], selectors: false });
    if (passes.length < (theme === 'light' ? 20 : 1)) throw new Error(`only ${passes.length} rules had something to look at`);
    return violations.flatMap(({ id, help, nodes }) => nodes.map((node) =>
        `${id}: ${help}: ${node.html.slice(0, 300)}\n${node.failureSummary}`));
}"""


def made(name):
    given = dict(QUICK.get(name, {}))
    if name == "SaliencyExplorer":  # asks the twins of every depth
        menu = usual_networks(["imagenette", "cifar10"])
        given["models"] = {**menu, "cifar10": replace(menu["cifar10"], depths=(8, 20))}
    return getattr(rx, name)(**given)


@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing(bare_page, name):
    explorer, page, found = made(name), bare_page(), []
    try:
        for count, (title, view, state) in enumerate(views(explorer), 1):
            if count == 1:
                open_view(page, view, state)
                page.evaluate(AXE_SCRIPT)
            else:
                follow_with(page, view, state, count)
            for theme in ("light", "dark"):
                dress(page, theme)
                found += [f"{title}, {theme}: {line}" for line in page.evaluate(_FIND, theme)]
    finally:
        explorer.close()
    assert not found, "\n".join(found)


def test_axe_finds_nothing_in_a_question_and_its_verdict(bare_page):
    explorer, page, found = rx.DegradationExplorer(guess=True), bare_page(), []
    [(_, view, state), *_] = views(explorer)
    explorer.close()
    open_view(page, view, state)
    page.evaluate(AXE_SCRIPT)
    page.evaluate(
        "(key) => window.model.set('_counts', { [key]: { rises: 3, falls: 2 } })", view.question.key
    )
    for answered in (False, True):
        if answered:
            page.get_by_label("it falls").check()
            page.get_by_role("button", name="Show me").click()
        for theme in ("light", "dark"):
            dress(page, theme)
            found += [f"{theme}: {line}" for line in page.evaluate(_FIND, theme)]
    assert page.locator(".rx-distribution").is_visible()
    assert not found, "\n".join(found)


def test_axe_is_really_asked(bare_page):
    page = bare_page()
    page.set_content("<main class='rx-page'><img src='a.png'><button></button></main>")
    page.evaluate(AXE_SCRIPT)
    found = page.evaluate(_FIND.replace("? 20 : 1", "? 1 : 1"), "light")
    assert {line.partition(":")[0] for line in found} == {"image-alt", "button-name"}
