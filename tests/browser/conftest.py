"""Fixtures: one JupyterLab and one browser for all tests here, and a notebook for each test, or one of them all."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Error, Page

from tests.browser.lab import LabServer, NotebookPage, open_browser

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    if report.when != "teardown":
        item.stash[_FAILED] = report.failed
    return report


_FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def browser_context() -> Iterator[BrowserContext]:
    try:
        with open_browser() as context:
            yield context
    except LookupError as missing:
        required = os.environ.get("CI", "") not in ("", "0", "false")
        (pytest.fail if required else pytest.skip)(str(missing))


@pytest.fixture(scope="session")
def _spare_bare_pages() -> list[Page]:
    return []


@pytest.fixture
def bare_page(browser_context: BrowserContext, _spare_bare_pages: list[Page]) -> Iterator[Callable[[], Page]]:
    """`bare_page()` is an empty page, whose errors fail the test; to start one anew takes 0.4 s of a processor."""
    opened: list[Page] = []
    errors: list[str] = []

    def note(error: Error) -> None:
        errors.append(str(error))

    def open_it() -> Page:
        opened.append(_spare_bare_pages.pop() if _spare_bare_pages else browser_context.new_page())
        opened[-1].bring_to_front()
        opened[-1].on("pageerror", note)
        return opened[-1]

    yield open_it
    for page in opened:
        page.remove_listener("pageerror", note)
        page.emulate_media(reduced_motion="null")
        page.mouse.move(0, 0)
        page.goto("about:blank")
        _spare_bare_pages.append(page)
    assert not errors, "\n".join(errors)


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    with LabServer(tmp_path_factory.mktemp("lab"), warm=True) as server:
        yield server


@pytest.fixture(scope="session")
def spare_pages() -> list[Page]:
    """Pages that JupyterLab is loaded in, and no notebook is open."""
    return []


@pytest.fixture(scope="session")
def _warm() -> Iterator[list[NotebookPage]]:
    """A notebook of one cell, once it is needed."""
    notebooks: list[NotebookPage] = []
    yield notebooks
    for notebook in notebooks:
        notebook.close()


@pytest.fixture
def run_cell(
    request: pytest.FixtureRequest,
    browser_context: BrowserContext,
    lab_server: LabServer,
    spare_pages: list[Page],
    _warm: list[NotebookPage],
) -> Iterator[Callable[..., NotebookPage]]:
    """`run_cell(code, theme="dark", width=420)`: new widgets alone, without waiting for a new page and kernel.

    A test that passes must also leave a page where nothing says that something went wrong; one that fails leaves
    no kernel to the others.
    """
    if not _warm:
        path = lab_server.write_notebook([""])
        _warm.append(NotebookPage(lab_server, browser_context, path, spare=spare_pages))
    [notebook] = _warm

    def run_it(code: str, theme: str = "light", width: int = 1280, height: int = 900) -> NotebookPage:
        notebook.execute("import ipywidgets; ipywidgets.Widget.close_all()")
        notebook.problems.clear()
        notebook.sent.clear()
        notebook.page.bring_to_front()
        notebook.page.set_viewport_size({"width": width, "height": height})
        notebook.dress(theme)
        notebook.page.mouse.move(0, 0)
        notebook.page.evaluate(_MARK_OLD)
        notebook.write(code)
        notebook.run_all()
        notebook.page.wait_for_function(_ONLY_NEW)
        return notebook

    yield run_it
    if request.node.stash.get(_FAILED, False):
        notebook.screenshot(f"FAILED-{request.node.name}")
        _warm.remove(notebook)
        notebook.close()
    else:
        notebook.assert_clean()


@pytest.fixture
def rerun(request: pytest.FixtureRequest, run_cell: Callable[..., NotebookPage]) -> NotebookPage:
    """The file's `CELL`, run anew by `run_cell`."""
    return run_cell(request.module.CELL)


_MARK_OLD = (
    "document.querySelectorAll('.rx-film, .rx-page').forEach((card) => card.classList.add('test-old'))"
)
_ONLY_NEW = """() => {
    const cards = [...document.querySelectorAll('.rx-film, .rx-page')];
    return cards.length > 0 && !cards.some((card) => card.classList.contains('test-old'));
}"""


@pytest.fixture
def open_notebook(
    request: pytest.FixtureRequest,
    browser_context: BrowserContext,
    lab_server: LabServer,
    spare_pages: list[Page],
) -> Iterator[Callable[..., NotebookPage]]:
    """`open_notebook("notebooks/00_start.ipynb")` or `open_notebook([cell], theme="dark", width=420)`."""
    opened: list[NotebookPage] = []

    def open_it(
        what: str | Sequence[str], theme: str = "light", width: int = 1280, height: int = 900
    ) -> NotebookPage:
        path = what if isinstance(what, str) else lab_server.write_notebook(what)
        opened.append(NotebookPage(lab_server, browser_context, path, theme, width, height, spare_pages))
        return opened[-1]

    yield open_it
    failed = request.node.stash.get(_FAILED, False)
    for k, notebook in enumerate(opened):
        if failed:
            notebook.screenshot(f"FAILED-{request.node.name}-{k}")
        notebook.close(None if failed or notebook.problems else spare_pages)


@pytest.fixture
def usual_lab(lab_server: LabServer, spare_pages: list[Page]) -> Iterator[None]:
    """JupyterLab lays out no cells that are out of sight, unless it is told otherwise; the tests tell it."""
    told = lab_server.folder / "settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
    before, others = told.read_text(), spare_pages[:]
    told.write_text("{}")
    spare_pages.clear()
    yield
    told.write_text(before)
    for page in spare_pages:  # which know what was told here
        page.close()
    spare_pages[:] = others
