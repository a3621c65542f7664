"""The degradation problem: slide through depths, in a recorded experiment or in one that you train."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd

from resnet_explore.errors import ExploreError
from resnet_explore.figures.degradation import DegradationFigure
from resnet_explore.figures.style import SCREEN_SCALE, to_png
from resnet_explore.paths import shipped
from resnet_explore.training.plan import KINDS, Sweep
from resnet_explore.training.runs import collect
from resnet_explore.training.sweep import Progress, run_sweep
from resnet_explore.widgets.filmstrip import Filmstrip
from resnet_explore.widgets.words import among, error, percent

_RECORDED = "Recorded runs"
_REDRAW_SECONDS = 0.8  # between pictures while training: often enough to watch, seldom enough not to slow it


class DegradationExplorer(ipywidgets.VBox):
    """Training error against depth for plain and residual networks, and the learning curves of one depth.

    sweep     the experiment that *Train* runs, one seed at a time; by default `Sweep()`, on digits
    out       where its runs are kept, in a folder for each seed; continued if it was interrupted
    recorded  a folder that `collect` reads, shown until you train; by default the digits sweep that ships

    Attributes: `strip` (the picture), `table` (what it shows, as `collect` returns it), and the controls
    `train`, `stop`, `back` (to the recorded runs), `seed`, `progress` and `status`.
    """

    def __init__(
        self, sweep: Sweep | None = None, out: str | Path = "runs/digits", recorded: str | Path | None = None
    ) -> None:
        self.sweep = sweep or Sweep()
        self.out = Path(out)
        self._recorded = self.table = collect(recorded or shipped("data", "digits"))
        self.strip = Filmstrip(name="Depth", scale=SCREEN_SCALE, message="Drawing the recorded runs ...")
        self.train = ipywidgets.Button(
            description="Train", icon="play", button_style="primary", tooltip="Train all networks here, now"
        )
        self.stop = ipywidgets.Button(
            description="Stop", icon="stop", disabled=True, tooltip="Stop; finished epochs are kept"
        )
        self.back = ipywidgets.Button(
            description="Recorded runs", disabled=True, tooltip="Show the recorded runs again; yours are kept"
        )
        self.seed = ipywidgets.BoundedIntText(
            value=self.sweep.seeds[0], min=0, max=2**31 - 1, description="Seed", layout={"width": "150px"}
        )
        self.progress = ipywidgets.FloatProgress(min=0, max=1, layout={"width": "220px"})
        self.status = ipywidgets.HTML()
        self._halt = threading.Event()
        self._thread: threading.Thread | None = None
        self.train.on_click(lambda _: self.start())
        self.stop.on_click(lambda _: self._halt.set())
        self.back.on_click(lambda _: self.show_table(self._recorded, _RECORDED))
        self.seed.observe(lambda _: self._say_what_train_does(), "value")
        row = ipywidgets.HBox(
            [self.train, self.stop, self.back, self.seed, self.progress],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )
        super().__init__([self.strip, row, self.status])
        self._show(_RECORDED)
        self.strip.index = self._first_failure()
        self._say_what_train_does()

    # --- training -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Train, or continue, the sweep with the seed that is set; returns at once."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._halt.clear()
        self._set_training(True)
        self.status.value = "Starting the workers ..."
        seed = int(self.seed.value)
        self._thread = threading.Thread(target=self._work, args=(seed,), daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for a training that `start` began, at most so many seconds."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _work(self, seed: int) -> None:
        sweep, out = self._sweep(seed), self._folder(seed)
        live = _Live(self, sweep)
        try:
            run_sweep(sweep, out, progress=live.take, stop=self._halt.is_set)
            live.show()
            self._say_outcome(live)
        except ExploreError as problem:
            self.status.value = error(str(problem))
        except Exception as problem:  # a thread has nobody else to tell
            self.status.value = error(f"Training stopped: {type(problem).__name__}: {problem}")
        finally:
            self._set_training(False)

    def _say_outcome(self, live: "_Live") -> None:
        if live.last is not None and live.last.finished:
            took = "earlier" if not live.fresh else f"in {live.last.seconds:.0f} s"
            took += ", after an earlier start" if live.fresh and live.resumed else ""
            count = len(live.sweep.runs())
            self.status.value = (
                f"All {count} networks were trained here {took}. Another seed trains them anew."
            )
        elif live.rows:
            self.status.value = "Stopped. <b>Train</b> goes on from the last finished epochs."
        else:
            self.status.value = "Stopped before an epoch was finished. <b>Train</b> begins again."

    def _say_what_train_does(self) -> None:
        runs = len(self._sweep(int(self.seed.value)).runs())
        begun = (self._folder(int(self.seed.value)) / "sweep.json").is_file()
        self.status.value = (
            "<b>Train</b> continues or shows your run with this seed."
            if begun
            else f"<b>Train</b> trains these {runs} networks on this computer, in about half a minute."
        )

    def _sweep(self, seed: int) -> Sweep:
        return replace(self.sweep, seeds=(seed,))

    def _folder(self, seed: int) -> Path:
        return self.out / f"seed-{seed}"

    def _set_training(self, training: bool) -> None:
        self.train.disabled, self.stop.disabled, self.seed.disabled = training, not training, training
        self._offer_recorded()

    def _offer_recorded(self) -> None:
        self.back.disabled = self.train.disabled or self.table is self._recorded

    # --- the picture --------------------------------------------------------------------------------------

    def show_table(self, table: pd.DataFrame, source: str) -> None:
        """Show another table of runs; `source` says in a word or two what it is."""
        self.table = table
        self._offer_recorded()
        self._show(source)

    def _show(self, source: str) -> None:
        depths = sorted(
            {int(d) for d in self.table["depth"]} | (set() if source == _RECORDED else set(self.sweep.depths))
        )
        epochs = int(self.table["epochs"].max())
        figure = DegradationFigure(depths, epochs)
        by_depth = {kind: _last_errors(self.table, kind, depths) for kind in KINDS}
        frames, titles = [], []
        for depth in depths:
            by_epoch = {kind: _curves(self.table, kind, depth, epochs) for kind in KINDS}
            frames.append(to_png(figure.draw(by_depth, by_epoch, depth)))
            titles.append(_finding(self.table, depth))
        self.strip.show(
            frames=frames,
            titles=titles,
            captions=[_conditions(self.table, source)],
            ticks=[str(d) for d in depths],
        )

    def _first_failure(self) -> int:
        """Return the step that makes the point: the first depth where plain fails and residual doesn't."""
        for i, depth in enumerate(sorted(self.table["depth"].unique())):
            errors = {kind: _final(self.table, kind, depth) for kind in KINDS}
            if errors["plain"] > 40 and errors["residual"] < 10:
                return i
        return 0


class _Live:
    """Collects a running sweep's epochs and redraws the explorer from time to time."""

    def __init__(self, explorer: DegradationExplorer, sweep: Sweep) -> None:
        self.explorer, self.sweep = explorer, sweep
        self.rows: list[dict[str, Any]] = []
        self.last: Progress | None = None
        self.fresh = False  # whether epochs were trained now, not all before
        self.resumed = (explorer._folder(sweep.seeds[0]) / "sweep.json").is_file()
        self._drawn = 0.0

    def take(self, progress: Progress) -> None:
        self.fresh = self.fresh or self.last is not None or not progress.finished
        self.rows += progress.rows
        self.last = progress
        self.explorer.progress.value = progress.epochs_done / progress.epochs_total
        self.explorer.status.value = (
            f"Trained {progress.epochs_done} of {progress.epochs_total} epochs in {progress.seconds:.0f} s."
        )
        if time.monotonic() - self._drawn > _REDRAW_SECONDS:
            self.show()

    def show(self) -> None:
        if self.rows:
            self.explorer.show_table(pd.DataFrame(self.rows), "Your own run")
            self._drawn = time.monotonic()


def _last_errors(table: pd.DataFrame, kind: str, depths: list[int]) -> dict[str, np.ndarray]:
    """Return {"train", "test"}: errors after each run's last epoch, (depths, seeds), nan if there is none."""
    last = table[table["kind"] == kind].sort_values("epoch").groupby(["depth", "seed"]).last()
    return {
        name: last[f"{name}_error"].unstack("seed").reindex(depths).to_numpy(float)
        if len(last)
        else np.full((len(depths), 1), np.nan)
        for name in ("train", "test")
    }


def _curves(table: pd.DataFrame, kind: str, depth: int, epochs: int) -> dict[str, np.ndarray]:
    """Return {"train", "test"}: errors (epochs, seeds), nan where there is none."""
    rows = table[(table["kind"] == kind) & (table["depth"] == depth)]
    return {
        name: rows.pivot(index="epoch", columns="seed", values=f"{name}_error")
        .reindex(range(1, epochs + 1))
        .to_numpy(float)
        if len(rows)
        else np.full((epochs, 1), np.nan)
        for name in ("train", "test")
    }


def _final(table: pd.DataFrame, kind: str, depth: int) -> float:
    errors = _last_errors(table, kind, [depth])["train"]
    return float(np.nanmean(errors)) if np.isfinite(errors).any() else float("nan")


def _finding(table: pd.DataFrame, depth: int) -> str:
    plain, residual = (_final(table, kind, depth) for kind in KINDS)
    if np.isnan(plain) or np.isnan(residual):
        return f"{depth} layers: no finished epoch yet of both twins."
    runs = table[table["depth"] == depth].groupby(["kind", "seed"])["epoch"].max()
    total = int(table["epochs"].max())
    when = "" if runs.min() == total else f" after {runs.min()} of {total} epochs"
    return (
        f"{depth} layers{when}: the plain network gets {percent(plain)} of its training images wrong, "
        f"the residual one {percent(residual)}."
    )


def _conditions(table: pd.DataFrame, source: str) -> str:
    run = table.iloc[0]
    seeds = sorted(int(s) for s in table["seed"].unique())
    spread = "; lines are means and bands the range over seeds" if len(seeds) > 1 else ""
    return (
        f"{source}: {run['dataset']}, first stage {run['width']} channels wide, {run['epochs']} epochs of "
        f"SGD (batch {run['batch_size']}, one-cycle to {run['lr']:g}), the same for both; "
        f"{among(seeds)}{spread}. Errors in eval mode."
    )
