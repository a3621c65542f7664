"""The degradation explorer: errors, gradients and responses over depth, recorded or trained here."""

import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from resnet_explore.errors import ExploreError, unknown
from resnet_explore.training.commands import one_after_another
from resnet_explore.training.coverage import recipe_of, same_recipe
from resnet_explore.training.plan import Sweep
from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import View
from resnet_explore.widgets.degradation import captions, own_images
from resnet_explore.widgets.degradation.jobs import LookAtFolder, ReadLayers, Train, Trained
from resnet_explore.widgets.degradation.present import LARGEST_SEED, Given, present
from resnet_explore.widgets.degradation.runs import Runs
from resnet_explore.widgets.degradation.sources import GIVEN, YOUR_IMAGES, YOURS, RunSource, sources
from resnet_explore.widgets.degradation.state import DegradationState

if TYPE_CHECKING:
    import pandas as pd

RECORDED, OWN = "Recorded runs", "Trained here"


class DegradationExplorer(Explorer):
    """Plain against residual networks: errors, gradients and responses, recorded or trained here.

    sweep     the experiment that *Train* runs, one seed at a time; by default `Sweep()`, on digits
    out       where its runs are kept, in a folder for each seed; continued if it was interrupted. Runs on
              your own images go beside it
    recorded  a folder that `collect` reads and that comes first in the menu; by default the record of the
              sweep's data
    state     `DegradationState`: data, runs, view, depth, steps, seed, folder, each a trait
    guess     True to be asked before the first picture, or the path of a file that keeps the answers

    `table` is what is shown, as `collect` returns it; `start` and `stop` train as the buttons do.

    Raises ExploreError if `recorded` holds no runs, or runs of more than one recipe.
    """

    State = DegradationState
    bakes: ClassVar = {"view": None, "data": None, "gradient_step": None, "response_step": None}

    def __init__(
        self,
        sweep: Sweep | None = None,
        out: str | Path = "runs/digits",
        recorded: str | Path | None = None,
        **state: Any,
    ) -> None:
        self.sweep, self.out, self._recorded_in = sweep or Sweep(), Path(out), recorded
        self._sources: dict[str, RunSource] = {}
        for source in sources(self.sweep.dataset, recorded):
            self._sources.setdefault(source.key, source)
        self._runs: dict[str, Runs] = {}  # by the source's key
        self._versions: dict[str, int] = {}
        self._trainings: dict[str, Train] = {}  # the last one on each data
        self._presses = self._looks = 0
        self._starting = threading.Lock()
        self._wanted_depth = 0  # what the person has chosen, 0 for none; not all runs have it
        self._begun = False  # whether a training with the state's seed lies there
        super().__init__(**state)

    # --- the state ------------------------------------------------------------------------------------------

    @property
    def first(self) -> RunSource:
        """The record that *Train* repeats."""
        return next(iter(self._sources.values()))

    def call_in_code(self, state: DegradationState) -> Sequence[str]:
        """Return how a record is read; what was trained here lies in a folder that `collect` reads."""
        if state.runs == "own" or state.data in (YOURS, GIVEN):
            return ()
        folder = f'shipped("data", "{state.data}")'
        of_layers = state.view in ("gradients", "responses")
        call = f"rx.collect_layers({folder})" if of_layers else f"rx.summarize(rx.collect({folder}))"
        return ["from resnet_explore.paths import shipped", "", call]

    def settle(self, state: DegradationState, names: frozenset[str]) -> DegradationState:
        """Fill in what is left open, and take the depth to the nearest that the runs have."""
        state = replace(state, data=state.data or self.first.key)
        if state.data != YOURS and state.data not in self._sources:
            raise unknown("data", state.data, [*self._sources, YOURS])
        if not 0 <= state.seed <= LARGEST_SEED:
            raise ExploreError(f"seed must be from 0 to {LARGEST_SEED:,}, got {state.seed:,}.")
        if state.data == YOURS:
            state = replace(state, runs="own")
        elif "data" in names and "runs" not in names and state.data not in self._trainings:
            state = replace(state, runs="recorded")
        runs = self._read(state.data, anew="data" in names)
        depths = self._depths(state, runs)
        if "depth" in names:
            if state.depth and state.depth not in depths:
                raise unknown("depth", state.depth, map(str, depths))
            self._wanted_depth = state.depth
        # From here on nothing can be refused any more, so what is there may be replaced.
        self._keep(state.data, runs)
        self._begun = (self._out(state.seed) / "sweep.json").is_file()
        self._looks += bool(names & {"data", "folder", "skip_unreadable"})
        wanted = self._wanted_depth or (runs.telling_depth() if runs else depths[-1])
        return replace(state, depth=min(depths, key=lambda depth: abs(depth - wanted)))

    def _read(self, key: str, anew: bool) -> Runs | None:
        """Return a source's runs, None for images of one's own. Folders of runs grow: read them `anew`."""
        if key == YOURS or (key in self._runs and not anew):
            return self._runs.get(key)
        return self._sources[key].runs()

    def _keep(self, key: str, runs: Runs | None) -> None:
        if runs is not None and (key not in self._runs or runs.rows != self._runs[key].rows):
            self._runs[key] = runs
            self._versions[key] = self._versions.get(key, 0) + 1

    def _depths(self, state: DegradationState, runs: Runs | None) -> Sequence[int]:
        if runs is not None and state.runs == "recorded":
            return runs.depths
        if state.data in self._trainings:
            return self._trainings[state.data].first_runs.depths
        return own_images.DEPTHS if state.data == YOURS else self.sweep.depths

    # --- what is computed -----------------------------------------------------------------------------------

    def plan(self, state: DegradationState) -> Sequence[Job]:
        """Return what the view has to read, and all trainings: their results stay."""
        jobs: list[Job] = []
        if state.data == YOURS and state.folder.strip():
            jobs.append(LookAtFolder(state.folder.strip(), self._looks))
        if state.view in ("gradients", "responses") and state.runs == "recorded":
            jobs.append(self._layers_job(state.data))
        return [*jobs, *self._trainings.values()]

    def _layers_job(self, key: str) -> ReadLayers:
        return ReadLayers(key, self._versions[key], self._sources[key].read_layers)

    def act(self, name: str, detail: Any, buffers: Sequence[memoryview]) -> None:
        """Train, or stop it."""
        if name == "train":
            self.start()
        elif name == "stop-training":
            self.stop()

    def start(self) -> None:
        """Train, or go on with, what the state names, and show it; returns at once.

        Raises `ExploreError` where there is nothing to be trained, or a training goes on.
        """
        with self._starting:  # two presses come in two threads
            self._start(self.state)
        self.update(runs="own")

    def _start(self, state: DegradationState) -> None:
        if self.training:
            raise ExploreError(captions.IS_TRAINING)
        if state.data not in (self.first.key, YOURS):
            raise ExploreError(captions.NOT_HERE)
        if state.data == YOURS and not state.folder.strip():
            raise ExploreError(captions.NO_FOLDER)
        self._presses += 1
        job = self._training_for(state)
        last = self._trainings.get(state.data)
        if last is not None and _same_training(last, job):
            job = replace(job, before=self._runner.found().get(last))
        self._trainings = {**self._trainings, state.data: job}  # others may be reading the old one

    def _training_for(self, state: DegradationState) -> Train:
        if state.data == YOURS:
            return Train(
                self._presses,
                YOURS,
                state.seed,
                self.out.parent,
                None,
                state.folder.strip(),
                state.skip_unreadable,
            )
        sweep = replace(self.sweep, seeds=(state.seed,))
        runs = self._runs[state.data]
        expected = runs.first_epochs(os.cpu_count() or 1) if self._repeats(runs) else {}
        return Train(self._presses, state.data, state.seed, self._out(state.seed), sweep, expected=expected)

    def _out(self, seed: int) -> Path:
        return self.out / f"seed-{seed}"

    def stop(self) -> None:
        """Ask the training that goes on to stop; epochs that are finished are kept."""
        for job in self._trainings.values():
            job.halt.set()

    @property
    def training(self) -> bool:
        """Whether networks are being trained."""
        return any(trained is None or trained.going for trained in self._all_trained().values())

    def _all_trained(self) -> dict[str, Trained | None]:
        found = self._runner.found()
        return {key: found.get(job) for key, job in self._trainings.items()}

    # --- what is shown --------------------------------------------------------------------------------------

    @property
    def table(self) -> "pd.DataFrame":
        """The runs that are shown, a row an epoch, as `collect` returns them; empty where there are none."""
        import pandas as pd

        runs = self._given(self.state, self._runner.found()).runs
        table = pd.DataFrame(runs.rows if runs is not None else ())
        return (
            table if table.empty else table.sort_values(["kind", "depth", "seed", "epoch"], ignore_index=True)
        )

    def show_table(
        self,
        table: "pd.DataFrame",
        source: str,
        data: str = "",
        layers: "Callable[[], pd.DataFrame] | None" = None,
    ) -> None:
        """Show another table of runs, as `collect` returns it.

        `source` says in a word or two whose it is, `data` what the networks were trained on; `layers` is a
        function that returns what `collect_layers` would. Raises ExploreError if the runs differ in recipe.
        """
        rows: Any = table.to_dict("records")
        given = RunSource(GIVEN, source, lambda: rows, layers, data)
        given.runs()
        self._sources[GIVEN] = given
        self.update(data=GIVEN, runs="recorded")

    def present(self, state: DegradationState, found: Mapping[Job, Any]) -> View:
        """Return the page of the view that is open."""
        return present(state, self._given(state, found))

    def _given(self, state: DegradationState, found: Mapping[Job, Any]) -> Given:
        every = {key: found.get(job) or job.at_first for key, job in self._trainings.items()}
        trained = every.pop(state.data, None)
        others = {self._title(key): other for key, other in every.items()}
        common: dict[str, Any] = {
            "sources": tuple(self._sources.values()),
            "trained": trained,
            "training": others,
        }
        common |= self._offer(state, found, trained)
        if state.runs == "own":
            return self._own(state, trained, common)
        source, runs = self._sources[state.data], self._runs[state.data]
        lacking = source.record.missing(runs.places) if source.record else ""
        return Given(
            runs=runs,
            layers=found.get(self._layers_job(state.data)),
            whose=source.title if source.record is None else RECORDED,
            data=source.data or str(runs.recipe["dataset"]),
            lacking=lacking[:1].upper() + lacking[1:],
            **common,
        )

    def _own(self, state: DegradationState, trained: Trained | None, common: Mapping[str, Any]) -> Given:
        if trained is None or (state.data == YOURS and self._trainings[YOURS].folder != state.folder.strip()):
            return Given(**common)
        recorded = self._runs.get(state.data)
        behind = recorded is not None and self._repeats(recorded)
        data = trained.data or (self._sources[state.data].data if state.data in self._sources else "")
        return Given(
            runs=trained.runs,
            layers=trained.layers,
            ghosts=recorded if behind else None,
            whose=OWN,
            data=data,
            **common,
        )

    def _repeats(self, recorded: Runs) -> bool:
        """Whether *Train* trains by the recipe of recorded runs."""
        return same_recipe(recorded.recipe, recipe_of([asdict(run) for run in self.sweep.runs()]))

    def _title(self, key: str) -> str:
        return YOUR_IMAGES if key == YOURS else self._sources[key].title

    def _offer(
        self, state: DegradationState, found: Mapping[Job, Any], trained: Trained | None
    ) -> dict[str, Any]:
        """Return what *Train* would do, "" where it has just been done or is being done."""
        job = self._trainings.get(state.data)
        if (
            job is not None
            and trained is not None
            and (trained.going or _same_training(job, self._training_for(state)))
        ):
            return {}
        if state.data == YOURS:
            return self._offer_folder(state, found)
        if state.data != self.first.key:
            return {"why_not": captions.NOT_HERE, **self._commands(state)}
        runs = self._runs[state.data]
        cost = math.nan
        if self._repeats(runs):
            cost = sum(float(row["seconds"]) for row in runs.rows) / len(runs.seeds)
        offer = captions.offer(len(replace(self.sweep, seeds=(0,)).runs()), self._begun, cost)
        return {"begun": self._begun, "offer": offer}

    def _offer_folder(self, state: DegradationState, found: Mapping[Job, Any]) -> dict[str, Any]:
        if not state.folder.strip():
            return {"why_not": captions.NO_FOLDER}
        survey = found.get(LookAtFolder(state.folder.strip(), self._looks))
        if survey is None:
            return {"offer": captions.LOOKING}
        if isinstance(survey, str):
            return {"offer": survey, "bad_offer": True}
        return {"offer": captions.folder(survey, own_images.DEPTHS, own_images.epochs_for(survey.images))}

    def _commands(self, state: DegradationState) -> dict[str, Any]:
        source = self._sources[state.data]
        if source.record is None or not source.record.commands:
            return {}
        record = source.record
        count = len(self._runs[state.data].places)
        sentence = captions.repeated(record.about.get("minutes"), count, record.on_other_data)
        return {"repeat": (sentence, one_after_another(record.commands, record.name))}

    def filled_in(self) -> Mapping[str, Any]:
        """Return the data that come first, or that a step shows, and the depth that makes the point."""
        data, recorded = self._state.data, self._state.runs == "recorded"
        return {
            "data": GIVEN if data == GIVEN else self.first.key,
            "depth": self._runs[data].telling_depth() if recorded else 0,
        }

    def steps_in_code(self) -> Sequence[str]:
        """Return how a table that was given is shown."""
        if self._state.data != GIVEN:
            return []
        given = self._sources[GIVEN]
        words = [repr(given.title), *([repr(given.data)] if given.data or given.read_layers else [])]
        layers = [] if given.read_layers is None else ["layers"]
        return [f"explorer.show_table({', '.join(['table', *words, *layers])})"]

    def notes_in_code(self) -> Sequence[str]:
        """Return what has to be there again."""
        if self._state.data != GIVEN:
            return super().notes_in_code()
        given = "table" if self._sources[GIVEN].read_layers is None else "table and layers"
        return [*super().notes_in_code(), f"{given}: what you gave, under the same name."]

    def context_in_code(self) -> Sequence[str]:
        """Return the arguments that were given beside the state."""
        said = []
        if self.sweep != Sweep():
            said.append("sweep=sweep")
        if self.out != Path("runs/digits"):
            said.append(f"out={str(self.out)!r}")
        if self._recorded_in is not None:
            said.append(f"recorded={str(self._recorded_in)!r}")
        return said


def _same_training(one: Train, other: Train) -> bool:
    """Whether two trainings are of the same networks in the same place."""
    return replace(one, number=0) == replace(other, number=0)
