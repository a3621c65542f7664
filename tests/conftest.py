"""Two processes of tests share the processor (`make test`): one thread each, or they wait for one another."""

import os

import pytest
import torch

from tests.slow import function, listed

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = listed()
    for item in items:
        if function(item.nodeid) in slow:
            item.add_marker(pytest.mark.slow)
