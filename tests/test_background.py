"""One slow thing at a time: the newer wins, what fails is told."""

import threading
import weakref

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.background import Background


def test_a_newer_one_ends_the_one_before_and_waits_for_it():
    order, told, begun = [], [], threading.Event()
    background = Background(told.append)

    def first(cancelled):
        begun.set()
        while not cancelled():
            pass
        order.append("first ended")
        raise ExploreError("nobody wants to hear this")

    background.start(first)
    assert begun.wait(10)
    background.start(lambda cancelled: order.append(f"second, cancelled: {cancelled()}"))
    background.wait(10)
    assert order == ["first ended", "second, cancelled: False"]
    assert told == []


def test_what_was_overtaken_before_it_began_is_never_done():
    done, hold = [], threading.Event()
    background = Background(done.append)
    background.start(lambda _: hold.wait(10))
    background.start(lambda _: done.append("overtaken"))
    background.start(lambda _: done.append("last"))
    hold.set()
    background.wait(10)
    assert done == ["last"]


def test_errors_are_one_sentence():
    told = []
    background = Background(told.append)
    for error in (ExploreError("This can't be."), ZeroDivisionError("by 0")):

        def work(_, error=error):
            raise error

        background.start(work)
        background.wait(10)
    assert told == ["This can't be.", "This failed: ZeroDivisionError: by 0"]


def test_it_can_be_waited_for_while_it_is_being_started_in_another_thread(monkeypatch):
    """JupyterLab handles a widget's message beside the cell that runs."""
    background, done, starting, go_on = Background(print), [], threading.Event(), threading.Event()
    start = threading.Thread.start

    def slow_start(thread):
        if threading.current_thread().name == "widget":
            starting.set()
            go_on.wait(10)
        start(thread)

    widget = threading.Thread(target=background.start, args=(lambda _: done.append(1),), name="widget")
    monkeypatch.setattr(threading.Thread, "start", slow_start)
    start(widget)
    assert starting.wait(10)
    background.wait(10)  # for nothing yet
    go_on.set()
    widget.join(10)
    background.wait(10)
    assert done == [1]


def test_what_a_job_held_is_gone_when_it_has_ended():
    class Held:
        pass

    def job():
        held = Held()
        return weakref.ref(held), lambda cancelled: held

    told = []
    gone, work = job()
    background = Background(told.append)
    background.start(work)
    del work
    background.wait(10)
    assert gone() is None
    assert told == []
