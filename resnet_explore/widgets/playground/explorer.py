"""The playground: networks that train while one watches, and are changed, stopped and rewound meanwhile."""

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from resnet_explore.errors import ExploreError, unknown
from resnet_explore.models.config import count
from resnet_explore.training.entrants import read_entrant
from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import View
from resnet_explore.widgets.playground import captions
from resnet_explore.widgets.playground.code import race_in_code
from resnet_explore.widgets.playground.jobs import Circuit, RunRace, Setup, Standing
from resnet_explore.widgets.playground.present import present
from resnet_explore.widgets.playground.rows import MOST, first_skips, one_more
from resnet_explore.widgets.playground.state import DATA, MOST_STEPS, NOW, OPENING, PlaygroundState

if TYPE_CHECKING:
    import pandas as pd


class PlaygroundExplorer(Explorer):
    """Up to four networks that train in lock step while you watch, and can be changed on the way.

    networks  such as ("plain-56", "residual-56 skip=0.5 norm=group"): kind, layers, and options of
              `training.entrants.Entrant`
    state     `PlaygroundState`: networks, data, folder, lr, batch_size, seed, skips, steps, playing, step,
              each a trait

    `play`, `pause`, `advance`, `rewind` do what the buttons do; `table` is the race as a DataFrame. Raises
    `ExploreError` for networks that can't be, and for data that is not there.
    """

    State = PlaygroundState
    bakes: ClassVar = {}
    keep_most = 0  # a race goes on, so what was found is soon out of date

    def __init__(self, **state: Any) -> None:
        self.circuit = Circuit()
        self._written = _Written()
        self._presses = self._rewinds = self._rewound_to = 0
        super().__init__(**state)

    # --- the state ------------------------------------------------------------------------------------------

    def settle(self, state: PlaygroundState, names: frozenset[str]) -> PlaygroundState:
        """Write networks as they are usually written; another race begins at its first steps."""
        _check(state)
        networks = tuple(str(read_entrant(text)) for text in state.networks)
        _check_networks(networks)
        state = replace(state, networks=networks, folder=state.folder.strip())
        before: PlaygroundState | None = getattr(self, "_state", None)
        if before is not None and _setup(state) != _setup(before):
            fresh: dict[str, Any] = {"skips": (), "steps": OPENING}
            state = replace(state, step=NOW, **{n: v for n, v in fresh.items() if n not in names})
        state = replace(state, skips=_skips(state))
        return _looking(state, self._standing(state, {}), names)

    def settled_from(self, before: Any, changes: Mapping[str, Any]) -> Any:
        """Return the state after changes; another race takes as many steps as the one before."""
        return super().settled_from(before, {"steps": before.steps, **changes})

    def arrived(self, state: PlaygroundState, found: Mapping[Job, Any]) -> PlaygroundState:
        """Take over how far the race is."""
        standing: Standing | None = next(iter(found.values()), None)
        if standing is None:
            return state
        if standing.over or standing.turned_away:
            state = replace(state, steps=standing.steps, playing=False)
        else:
            state = replace(state, steps=max(state.steps, standing.steps))
        return _looking(state, standing, frozenset())

    # --- what is computed and shown -------------------------------------------------------------------------

    def plan(self, state: PlaygroundState) -> Sequence[Job]:
        """Return the race, going on and on or up to a step."""
        skips = state.skips or first_skips(state.networks)
        goal = None if state.playing else state.steps
        return (
            RunRace(
                self._circuit_of(state),
                _setup(state),
                state.lr,
                skips,
                goal,
                self._rewinds,
                self._rewound_to,
                self._presses,
            ),
        )

    def _circuit_of(self, state: PlaygroundState) -> Circuit:
        """Return where a race takes place: on a page that is written are others than the one that is here."""
        page, wanted = self._written, _race(state)
        if page.here is None or wanted == page.here:
            return self.circuit
        if page.other is None or wanted != page.other[0]:
            page.other = wanted, self.circuit.beside()
        return page.other[1]

    def present(self, state: PlaygroundState, found: Mapping[Job, Any]) -> View:
        """Return the page of the race as far as it is."""
        standing = self._standing(state, found)
        # To look for CIFAR-10 takes torch, for which the first page doesn't wait.
        return present(state, standing, standing is not None and _cifar_is_here())

    def retreat(self, job: Job) -> Any:
        """Return where the race stands; where a job of another one failed, what was shown last."""
        standing = self._standing(self.state, {})
        if standing is None:
            return super().retreat(job)
        return replace(self.state, steps=standing.steps, playing=False, step=NOW)

    def _standing(self, state: PlaygroundState, found: Mapping[Job, Any]) -> Standing | None:
        """Return how far the race is; between two jobs what the last one has left."""
        standing: Standing | None = next(iter(found.values()), self._circuit_of(state).standing)
        return standing if standing is not None and standing.setup == _setup(state) else None

    def act(self, name: str, detail: Any, buffers: Sequence[memoryview]) -> None:
        """Do what a button says."""
        acts = {
            "play": self.pause if self.state.playing else self.play,
            "one": self.advance,
            "again": self.rewind,
            "add": self._add,
            "take": lambda: self.set_skips(0.0),
            "give": lambda: self.set_skips(1.0),
        }
        if name in acts:
            acts[name]()
        elif name.startswith("remove-"):
            k = int(name.removeprefix("remove-"))
            networks = self.state.networks
            self.update(networks=(*networks[:k], *networks[k + 1 :]))

    def _add(self) -> None:
        self.update(networks=one_more(self.state.networks))

    # --- what else may be asked -----------------------------------------------------------------------------

    def play(self) -> None:
        """Train on and on; from the step that is looked at, where that is an earlier one."""
        with self.held():
            if self.state.step != NOW:
                self._rewind(self.state.step)
            self._presses += 1
            self.update(playing=True, step=NOW)

    def pause(self) -> None:
        """Let the race rest where it is."""
        self.update(playing=False)

    def advance(self, steps: int = 1) -> None:
        """Take so many more steps, and rest."""
        steps = count("A race", "steps", steps)
        with self.held():
            if self.state.step != NOW:
                self._rewind(self.state.step)
            self.update(playing=False, step=NOW, steps=min(MOST_STEPS, self.state.steps + steps))

    def rewind(self, step: int = 0) -> None:
        """Go back to a step that is kept; what came later stays as faint lines.

        Raises `ExploreError` for a step that is not kept.
        """
        with self.held():
            self._rewind(step)

    def _rewind(self, step: int) -> None:
        standing = self._standing(self.state, self._runner.found())
        kept = standing.kept if standing is not None else (0,)
        if step not in kept:
            raise unknown("kept step", step, map(str, kept))
        self._rewinds, self._rewound_to = self._rewinds + 1, step
        self.update(steps=step, playing=False, step=NOW)

    def set_skips(self, factor: float) -> None:
        """Multiply the skips of all networks by a factor from the next step on; plain ones are given some."""
        plain = [read_entrant(name).kind == "plain" for name in self.state.networks]
        # Of a plain network nothing can be taken away, unless it was given some.
        self.update(skips=tuple(None if p and factor == 0 else float(factor) for p in plain))

    @property
    def table(self) -> "pd.DataFrame":
        """The race as far as it is, a row for each network and step, as `Race.table` returns it."""
        from resnet_explore.training.race import table_of

        standing = self._standing(self.state, self._runner.found())
        return table_of(standing.curves if standing is not None else {})

    def to_html(self, path: str | Path, **more: Any) -> Path:
        """Let the race rest, and write a page on which it can be looked through; see `Explorer.to_html`.

        With other networks, data, rates, skips or steps than are shown, other races are run for that page;
        the one that is here stays where it is.
        """
        self.pause()
        self.wait()
        self._written.here = _race(self.state)
        try:
            return super().to_html(path, **more)
        finally:
            self._written.here = self._written.other = None

    def numbers(self, shown: View) -> Mapping[str, Any]:
        """Return the race as a table."""
        rows: list[Any] = self.table.to_dict("records")
        return {"race": rows}

    def notes_in_code(self) -> Sequence[str]:
        """Return that a race which was changed on the way is not told by its last state."""
        standing = self.circuit.standing
        changed = standing is not None and standing.changes
        return [captions.CHANGED_NOTE] if changed else []

    def call_in_code(self, state: PlaygroundState) -> Sequence[str]:
        """Return the race without the explorer, with what was changed on the way."""
        standing = self._standing(state, {})
        return () if standing is None else race_in_code(state, standing)


class _Written(threading.local):
    """What the thread that writes a page knows of it; for all others the race that is here is the only one.

    here   which race is here, as `_race` says it
    other  which one was run for the page last, and where
    """

    here: tuple[Any, ...] | None = None
    other: tuple[tuple[Any, ...], Circuit] | None = None


def _setup(state: PlaygroundState) -> Setup:
    folder = state.folder if state.data == "folder" else ""  # what is typed there is not yet chosen
    return Setup(state.networks, state.data, folder, state.batch_size, state.seed)


def _race(state: PlaygroundState) -> tuple[Any, ...]:
    """Return all of a state that its race depends on; where the same is asked for, the same race is meant."""
    return _setup(state), state.lr, state.skips, state.steps, state.playing


def _looking(state: PlaygroundState, standing: Standing | None, names: frozenset[str]) -> PlaygroundState:
    """Take the step that is looked at to one that is kept; who looks back lets the race rest."""
    if state.step == NOW or standing is None:
        return state  # a step that is asked for before there is one waits
    if standing.steps < state.steps and not state.playing:
        return state
    earlier = [step for step in standing.kept if step < standing.steps]
    if not earlier or (state.playing and "playing" in names):
        return replace(state, step=NOW)
    return replace(state, step=min(earlier, key=lambda step: abs(step - state.step)), playing=False)


def _cifar_is_here() -> bool:
    from resnet_explore.inputs.datasets import is_here

    return is_here("cifar10")


def _check(state: PlaygroundState) -> None:
    if state.data not in DATA:
        raise unknown("data", state.data, DATA)
    if state.data == "folder" and not state.folder.strip():
        raise ExploreError("data='folder' needs folder=..., where your images lie.")
    if not (math.isfinite(state.lr) and state.lr > 0):
        raise ExploreError(f"lr must be a number above 0, got {state.lr!r}.")
    for name, low, high in (("batch_size", 1, 4096), ("seed", 0, 2**31), ("steps", 0, MOST_STEPS)):
        if not low <= getattr(state, name) <= high:
            raise ExploreError(f"{name} must be from {low} to {high:,}, got {getattr(state, name)}.")


def _check_networks(networks: Sequence[str]) -> None:
    if not 1 <= len(networks) <= MOST:
        raise ExploreError(f"networks must be one to {MOST}, got {len(networks)}.")
    twice = next((name for name in networks if networks.count(name) > 1), None)
    if twice is not None:
        raise ExploreError(f"The network {twice!r} is in the race twice.")


def _skips(state: PlaygroundState) -> tuple[float | None, ...]:
    """Return the factors on skips, () where all are as the networks' texts say."""
    first, skips = first_skips(state.networks), state.skips
    if skips and len(skips) != len(first):
        raise ExploreError(f"skips must have {len(first)} entries, one for each network, got {len(skips)}.")
    for name, factor, usual in zip(state.networks, skips, first, strict=bool(skips)):
        if factor is None and usual is not None:
            raise ExploreError(f"skips of {name} must be a number, 0 for none, got None.")
        if factor is not None and not (math.isfinite(factor) and factor >= 0):
            raise ExploreError(f"skips must be numbers of at least 0, got {factor!r}.")
    return () if skips == first else skips
