"""What holds for all tests: one thread for each process, no accelerator, and which tests are slow."""

import functools
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

# Before torch looks, here and in kernels, servers and commands that tests start.
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the tests are about processors and stand-ins
os.environ["OMP_NUM_THREADS"] = "1"  # or they would wait for one another

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests.slow import function, listed
from tests.waiting import wait_until

# The same examples every time, however slow the machine; `--hypothesis-profile=default` looks for others.
settings.register_profile(
    "same", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")


class SomeTogether(LoadScopeScheduling):
    """Hands out one test after the other, but those together that share what is dear to make.

    In the browser that is a JupyterLab; pages without a kernel need none, and go to another process. Sweeps
    share what they are compared with and a server of processes, which whoever else trains may use.
    `--dist loadgroup` is made for this; pytest-xdist 3.8 under pytest 9.2 silently doesn't group (its #1386).
    """

    TOGETHER: ClassVar = {
        "tests/browser/pages/": "pages",
        "tests/browser/": "lab",
        "tests/test_sweep.py": "training",
        "tests/widgets/test_degradation_explorer.py": "training",
    }

    def _split_scope(self, nodeid: str) -> str:
        return next((name for place, name in self.TOGETHER.items() if nodeid.startswith(place)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SomeTogether:
    return SomeTogether(config, log)


@pytest.fixture(autouse=True)
def no_apple_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    # Cached as torch's own is: its compiler looks at what is wrapped.
    monkeypatch.setattr(torch.backends.mps, "is_available", functools.cache(lambda: False))


@pytest.fixture(autouse=True)
def closed_afterwards() -> Iterator[None]:
    """What an explorer that a test has opened still computes must not go on beside the next tests.

    It would take the processor from them, and random states and numbers of threads are those of the process.
    """
    explorers, threads = set(_explorers()), set(_computing())
    yield
    for name, explorer in _explorers().items():
        if name not in explorers:
            explorer.close()
    wait_until(lambda: threads.issuperset(_computing()), "what explorers compute has ended")


def _computing() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("resnet_explore")]


def _explorers() -> dict[str, Any]:
    """All explorers that are open, by their names."""
    core = sys.modules.get("resnet_explore.widgets.core.explorer")
    if core is None:
        return {}
    from ipywidgets.widgets.widget import _instances

    return {name: widget for name, widget in list(_instances.items()) if isinstance(widget, core.Explorer)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = listed()
    for item in items:
        if function(item.nodeid) in slow:
            item.add_marker(pytest.mark.slow)
