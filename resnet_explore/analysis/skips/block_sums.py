"""Where a block's skip and branch are summed while it runs, so that both can be changed before they are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

from torch import Tensor, nn

from resnet_explore.analysis._brief import counted
from resnet_explore.analysis.topology.structure import SkipSum, TracedBlock
from resnet_explore.analysis.topology.sum_calls import SumCalls
from resnet_explore.errors import ExploreError

IN_PLACE = ("add_", "__iadd__")


class BlockSums(SumCalls):
    """Knows, while a traced block runs, the sums at which its skip ends, and leaves them to `ended`."""

    def __init__(self, block: TracedBlock) -> None:
        super().__init__()
        self._block = block
        self._ends = {end.call: end for end in block.sums}

    def ended(
        self, add: Callable[..., Any], first: Tensor, second: Tensor, end: SkipSum, options: dict[str, Any]
    ) -> Any:
        """Return what stands for `add(first, second, **options)`, the sum `end`."""
        raise NotImplementedError

    def summed(self, add: Callable[..., Any], first: Tensor, second: Tensor, **options: Any) -> Any:
        """Return what the sum gives."""
        end = self._ends.get(self.count)
        return add(first, second, **options) if end is None else self.ended(add, first, second, end, options)

    def around(self, run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what the block gives, its sums computed by `ended`.

        Raises ExploreError if it added more or less often than when it was traced.
        """
        with self:
            made = run(*args, **kwargs)
        if self.count != self._block.sum_calls:
            now, then = (counted(count, "time") for count in (self.count, self._block.sum_calls))
            raise ExploreError(
                f"The block {self._block.name!r} can't be taken apart: it adds {now} now, but {then} when it "
                "was looked at, so its skip can't be told."
            )
        return made


def refuse_out_of_reach(block: TracedBlock) -> None:
    """Raise ExploreError for a block of whose sum one can't tell the summands."""
    if any(end.call < 1 for end in block.sums):
        raise ExploreError(
            f"The block {block.name!r} can't be taken apart: where it adds skip and branch is not known."
        )


@contextmanager
def wrapped_forward(module: nn.Module, instead: Callable[..., Any]) -> Iterator[None]:
    """Let a module return `instead(its own forward, *args, **kwargs)` while inside."""
    own = vars(module)
    before = own.get("forward")

    def forward(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return instead(before or MethodType(type(module).forward, module), *args, **kwargs)

    # A method of the module, so that a copy of the network that is made inside has its own.
    own["forward"] = MethodType(forward, module)
    try:
        yield
    finally:
        if before is None:
            del own["forward"]
        else:
            own["forward"] = before
