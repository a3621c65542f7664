"""The race that is shown as calls, without any explorer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from resnet_explore.widgets.playground.state import PlaygroundState

if TYPE_CHECKING:
    from resnet_explore.widgets.playground.jobs import Standing


def race_in_code(state: PlaygroundState, standing: "Standing") -> Sequence[str]:
    """Return the statements that run a race as it went, with its changes; the last is its table."""
    where = f", root={state.folder!r}, size=32" if state.data == "folder" else ""
    said = [
        "",
        f"data = rx.load_dataset({state.data!r}{where})",
        f"held_out = rx.load_dataset({state.data!r}, 'test'{where})",
        f"race = rx.Race({state.networks!r}, data, held_out, lr={standing.first_lr!r}, "
        f"batch_size={state.batch_size}, seed={state.seed})",
    ]
    at = 0
    for change in standing.changes:
        if change.step > at:
            said.append(f"race.advance({change.step - at})")
            at = change.step
        if change.what == "lr":
            said.append(f"race.lr = {change.after!r}")
        else:
            said.append(f"race.set_skips({change.after!r}, {change.what!r})")
    if standing.steps > at:
        said.append(f"race.advance({standing.steps - at})")
    return [*said, "race.table()"]
