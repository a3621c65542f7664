"""How long a sweep still takes, against schedules whose end is known."""

import heapq
import math

import pytest

import resnet_explore as rx
from resnet_explore.training.sweep import Progress
from resnet_explore.training.time_left import TimeLeft, left


def simulated(runs, workers, seconds, start=0.0, earlier=0):
    """Yield Progress, looked at each 0.2 s, of workers that take up runs in order.

    An epoch takes seconds(run); those of the first runs were trained earlier.
    """
    busy, ends = [start] * workers, []
    for k, run in enumerate(runs):
        now = heapq.heappop(busy)
        for epoch in range(1, run.epochs + 1):
            now += 0.0 if k < earlier else seconds(run)
            ends.append((now, {"run": run.id, "epoch": epoch, "seconds": seconds(run)}))
        heapq.heappush(busy, now)
    ends.sort(key=lambda end: end[0])
    looks, done = {}, 0
    for at, row in ends:
        looks.setdefault(math.ceil(at / 0.2) * 0.2, []).append(row)
    for at, rows in sorted(looks.items()):
        done += len(rows)
        yield Progress(tuple(rows), done, len(ends), at)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("earlier", [0, 3])
def test_the_estimate_is_near_the_truth_and_silent_before_anything_is_measured(workers, earlier):
    runs = rx.Sweep().runs()
    # As recorded for the digits: 0.05 s and 0.0165 s a layer; workers take 6 s to start.
    looks = list(simulated(runs, workers, lambda run: 0.05 + 0.0165 * run.depth, 6.0, earlier))
    watch, end = TimeLeft(runs), looks[-1].seconds
    said = [(look.seconds, watch.take(look)) for look in looks]
    assert math.isnan(said[0][1])
    known = [(end - at, estimate) for at, estimate in said if not math.isnan(estimate)]
    assert len(known) > len(said) / 2
    assert all(0.4 < estimate / truth < 2.5 for truth, estimate in known if truth > 4)
    second_half = [estimate / truth for truth, estimate in known if 4 < truth < end / 2]
    assert all(0.6 < ratio < 1.7 for ratio in second_half)
    assert known[-1][1] == 0


def test_the_estimate_follows_a_machine_that_gets_free():
    runs = rx.Sweep(depths=(20,), epochs=40, seeds=(0, 1)).runs()
    rows = [row for look in simulated(runs, 1, lambda run: 1.0) for row in look.rows]
    watch, now, ratios = TimeLeft(runs), 5.0, {}
    for k, row in enumerate(rows):
        each = 4.0 if k < 40 else 1.0  # others have done their work by then
        now += each
        left_over = sum(4.0 if i < 40 else 1.0 for i in range(k + 1, len(rows)))
        found = watch.take(Progress(({**row, "seconds": each},), k + 1, len(rows), now))
        ratios[k] = found / left_over if left_over else 1.0
    assert ratios[39] == pytest.approx(4, abs=0.1), "nobody knows"
    assert all(ratios[k] == pytest.approx(1) for k in range(100, 160)), (
        "an average of all would say 1.8 to 2.2"
    )


def test_the_first_epoch_of_each_depth_is_foretold():
    runs = rx.Sweep().runs()
    looks = list(simulated(runs, 2, lambda run: 0.0165 * run.depth, 6.0))
    ends = {}
    for look in looks:
        for row in look.rows:
            depth = next(run.depth for run in runs if run.id == row["run"])
            ends.setdefault(depth, look.seconds)
    watch, seen = TimeLeft(runs), {}
    assert watch.first_epochs() == {}
    for look in looks:
        watch.take(look)
        for depth, seconds in watch.first_epochs().items():
            seen.setdefault(depth, []).append((ends[depth] - look.seconds, seconds))
    assert set(seen) == {20, 32, 56, 110}, "that of 8 layers ends before anything is measured"
    for depth, pairs in seen.items():
        assert all(abs(truth - found) < 2 + 0.3 * truth for truth, found in pairs), depth


def test_how_it_is_said():
    assert left(math.nan) == left(0.0) == ""
    assert left(42.4) == ", about 42 s left"
    assert left(400) == ", about 7 min left"
