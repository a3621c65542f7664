"""What tests of explorers share."""

import pytest

from resnet_explore.widgets.saliency import jobs


@pytest.fixture
def judged():
    """For tests that read a verdict."""


@pytest.fixture
def unjudged(request, monkeypatch):
    """Where no verdict is read none is measured: each is hundreds of passes beside the test."""
    if "judged" not in request.fixturenames:
        monkeypatch.setattr(jobs, "verdicts", lambda *_: iter(()))
