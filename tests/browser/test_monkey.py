"""A monkey at every explorer's controls breaks nothing; `python -m tests.browser.monkey` plays for longer."""

import pytest

from tests.browser.explorers import NAMES
from tests.browser.monkey import cell, play


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_nothing_breaks(open_notebook, name):
    print(play(open_notebook([cell(name)]), name, actions=120, seed=0, patience=5))
