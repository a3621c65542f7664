"""A monkey at every explorer's controls breaks nothing; `python -m tests.browser.monkey` plays for longer."""

import pytest

from tests.browser.explorers import NAMES
from tests.browser.monkey import cell, play

# More where trainings of minutes begin and stop, and a number is typed.
ACTIONS = {"DegradationExplorer": 50}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_nothing_breaks(run_cell, name):
    print(play(run_cell(cell(name)), name, actions=ACTIONS.get(name, 30), seed=0, patience=2))
