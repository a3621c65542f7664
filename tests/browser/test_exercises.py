"""The exercises as a student meets them: nothing done yet, then a first answer."""

import resnet_explore as rx
from tests.browser.stills import NO_STILLS


def test_the_notebook_runs_through_undone_and_takes_an_answer(open_notebook):
    notebook = open_notebook("notebooks/exercises.ipynb")
    notebook.execute(NO_STILLS)
    notebook.run_all()
    cards = notebook.page.locator(".rx-checked")
    cards.first.wait_for()
    said = cards.all_text_contents()
    assert len(said) == len(rx.check().rows)
    assert all("Nothing to check yet" in words and "Hint:" in words for words in said)
    assert not notebook.page.locator(
        ".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']"
    ).count()
    assert notebook.page.locator(".rx-page").count() == 4, "four tasks are looked up in an explorer"
    notebook.page.evaluate(
        """() => {
          const { content } = window.jupyterapp.shell.currentWidget;
          const cell = content.widgets.find(({ model }) => model.sharedModel.source.includes('"count-paths", None'));
          content.activeCellIndex = content.widgets.indexOf(cell);
          cell.model.sharedModel.setSource('rx.check("count-paths", (512, 256))');
          return window.jupyterapp.commands.execute("notebook:run-cell");
        }"""
    )
    cards.get_by_text("Done: Count the paths").wait_for()
    notebook.screenshot("exercises")
    notebook.assert_clean()
