"""Planes around networks that were given, measured where they are looked at."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from resnet_explore.widgets.catalog.networks import Loaded, NamedNetwork, Networks
from resnet_explore.widgets.core.runner import Task
from resnet_explore.widgets.landscape.planes import Planes, plane_key, seed_of


class OwnNetworks:
    """One network or two, with the images and labels that their loss is of.

    size  points along each axis of a plane
    """

    def __init__(self, networks: Networks, images: Any, labels: Any, size: int) -> None:
        self.networks, self.images, self.labels, self.size = networks, images, labels, size
        self._loaded = Loaded()
        self._passing = threading.Lock()

    def measured(self, plane: str, mode: str, task: Task) -> Planes:
        """Return a random plane of each network; "random-0" names its seed."""
        from resnet_explore.analysis.landscape.surface import loss_landscape
        from resnet_explore.models.threads import one_thread

        seed = seed_of(plane)
        found = {}
        with self._passing, one_thread():
            pair: Sequence[NamedNetwork] = self._loaded(self.networks, 0)
            for network in pair:
                landscape = loss_landscape(
                    network.model,
                    self.images,
                    self.labels,
                    self.size,
                    seed=seed,
                    mode=mode,
                    cancel=task.is_cancelled,
                    progress=_told(task, network.name),
                )
                found[network.kind, 0, plane_key(plane, mode)] = landscape
        return Planes(found, {network.kind: network.name for network in pair})


def _told(task: Task, name: str) -> Callable[[int, int], None]:
    return lambda done, rows: task.say(f"{name}: {done} of {rows} rows of the plane ...")
