"""What tests of explorers share."""

import functools

import pytest

import resnet_explore as rx
from resnet_explore.widgets.core.runner import Runner
from resnet_explore.widgets.saliency import jobs
from tests.widgets.pages import what_is_seen


@pytest.fixture
def judged():
    """For tests that read a verdict."""


@pytest.fixture
def unjudged(request, monkeypatch):
    """Where no verdict is read none is measured: each is hundreds of passes beside the test."""
    if "judged" not in request.fixturenames:
        monkeypatch.setattr(jobs, "verdicts", lambda *_: iter(()))


@pytest.fixture
def seen_only(monkeypatch):
    """Nothing is measured to which a slider could move; see `what_is_seen`."""
    for explorer in (rx.FeatureMapExplorer, rx.GradientFlowExplorer, rx.SaliencyExplorer, rx.SkipExplorer):
        monkeypatch.setattr(explorer, "plan", _without_the_rest(explorer.plan))


def _without_the_rest(plan):
    @functools.wraps(plan)
    def planned(self, state):
        return what_is_seen(plan(self, state))

    return planned


@pytest.fixture
def unmeasured(monkeypatch):
    """Nothing is measured at all, for tests of what is known at once."""
    monkeypatch.setattr(Runner, "ask", lambda *_: None)
