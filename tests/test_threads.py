"""How many threads torch uses, with limits that overlap in several threads."""

import threading

import pytest
import torch

from resnet_explore.models import threads
from resnet_explore.models.threads import at_most, one_thread, usual_threads
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def three_threads():
    wait_until(lambda: not threads._everywhere, "nothing is limited that other tests have left running")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_a_limit_inside_of_another_leaves_it_as_it_was():
    with at_most(2):
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with at_most(8):
            assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 3


def test_a_thread_that_begins_within_the_limit_of_another_does_not_keep_it():
    begun, ended, found = threading.Event(), threading.Event(), []

    def other():
        with one_thread():
            begun.set()
            ended.wait(10)
        found.append(torch.get_num_threads())

    with one_thread():
        thread = threading.Thread(target=other)
        thread.start()
        assert begun.wait(10)
        assert usual_threads() == 3
    ended.set()
    thread.join(10)
    fresh = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    fresh.start()
    fresh.join(10)
    assert found == [3, 3]
    assert usual_threads() == 3
