"""What the landscape explorer computes: planes around networks that were given."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from resnet_explore.widgets.core.runner import Job, Task
from resnet_explore.widgets.landscape.planes import Planes

if TYPE_CHECKING:
    from resnet_explore.widgets.landscape.own import OwnNetworks


@dataclass(frozen=True)
class MeasurePlane(Job):
    """Measure a random plane of given networks."""

    own: "OwnNetworks" = field(compare=False, repr=False)
    plane: str
    mode: str
    says = "Measuring the loss around the networks ..."

    def run(self, task: Task) -> Planes:
        """Return the plane."""
        return self.own.measured(self.plane, self.mode, task)
