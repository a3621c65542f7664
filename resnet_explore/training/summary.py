"""What a table of runs comes down to: errors at the end, over the seeds."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from resnet_explore.errors import ExploreError
from resnet_explore.training.plan import RECIPE


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per network: its seeds, and the mean and standard deviation of its errors over them.

    Takes what `collect` returns. Rows are indexed by kind, depth and what else of the recipe varies; columns
    are seeds (how many), train_error, train_error_sd, test_error, test_error_sd, in percent after the last
    epoch. Deviations are of the sample (n - 1), nan for a single seed. Unfinished runs are left out.
    """
    last = table[table["epoch"] == table["epochs"]]
    more = [name for name in RECIPE if name in last and last[name].nunique() > 1]
    groups = last.groupby(["kind", "depth", *more], observed=True)
    columns: dict[str, pd.Series] = {"seeds": groups["seed"].nunique()}
    for name in ("train_error", "test_error"):
        columns[name], columns[f"{name}_sd"] = groups[name].mean(), groups[name].std()
    return pd.DataFrame(columns)


def to_markdown(summary: pd.DataFrame) -> str:
    """Return what `summarize` returned as a Markdown table: "16.2 ± 0.3", or "16.2" for a single seed."""
    names = [str(name) for name in summary.index.names]
    lines = ["| " + " | ".join([*names, "seeds", "training error %", "test error %"]) + " |"]
    lines.append("| --- " * (len(names) + 3) + "|")
    for key, row in summary.iterrows():
        values = [mean_and_deviation(row[n], row[f"{n}_sd"]) for n in ("train_error", "test_error")]
        cells = [*map(str, key if isinstance(key, tuple) else (key,)), str(int(row["seeds"])), *values]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def mean_and_deviation(mean: float, deviation: float) -> str:
    """Return "16.20 ± 0.31", or "16.20" where there is one seed and so no deviation."""
    return f"{mean:.2f}" if np.isnan(deviation) else f"{mean:.2f} ± {deviation:.2f}"


# --- arrays to be drawn -----------------------------------------------------------------------------------


def behind_numbers(table: pd.DataFrame) -> str:
    """Say what the numbers of `summarize` are: means over seeds, or errors of a single one."""
    seeds = summarize(table)["seeds"]
    if not (seeds > 1).any():
        return "one seed each, so without a spread"
    return "mean ± standard deviation over seeds" + (" where there are several" if seeds.min() == 1 else "")


def require_one_recipe(table: pd.DataFrame) -> None:
    """Raise ExploreError if runs of a table differ in more than kind, depth and seed."""
    fields = ("dataset", "family", "size", *RECIPE)
    given = [name for name in fields if name in table]
    differ = [name for name in given if len(set(map(_as_recorded, table[name].unique()))) > 1]
    if differ:
        raise ExploreError(
            f"Runs shown together must share one recipe, and these differ in {', '.join(differ)}: "
            "choose some of them first."
        )


def _as_recorded(value: Any) -> Any:
    """Return a value as it reads in a record too, which has six digits, and nan for what was not given."""
    if value is None or value != value:
        return None
    return f"{float(value):.6g}" if isinstance(value, Real) else value


def final_errors(table: pd.DataFrame, kind: str, depths: list[int]) -> dict[str, np.ndarray]:
    """Return {"train", "test"}: errors at the end of finished runs, (depths, seeds), nan for none."""
    last = table[(table["kind"] == kind) & (table["epoch"] == table["epochs"])].set_index(["depth", "seed"])
    return {
        name: last[f"{name}_error"].unstack("seed").reindex(depths).to_numpy(float)
        if len(last)
        else np.full((len(depths), 1), np.nan)
        for name in ("train", "test")
    }


def unfinished(table: pd.DataFrame) -> pd.DataFrame:
    """Return the last row so far of each run that has not all its epochs."""
    last = table.sort_values("epoch").groupby("run", as_index=False).last()
    return last[last["epoch"] < last["epochs"]]


def learning_curves(table: pd.DataFrame, kind: str, depth: int, epochs: int) -> dict[str, np.ndarray]:
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


def layer_values(layers: pd.DataFrame, depth: int, quantity: str) -> dict[int, dict[str, np.ndarray]]:
    """Return {step: {kind: values (layers, seeds)}} of one depth, steps in order, nan where there is none.

    Takes what `collect_layers` returns; `quantity` is one of its columns, such as "gradient_norm".
    """
    here = layers[layers["depth"] == depth]
    found: dict[int, dict[str, np.ndarray]] = {}
    for step in sorted(int(step) for step in here["step"].unique()):
        for kind, rows in here[here["step"] == step].groupby("kind", observed=True):
            grid = rows.pivot(index="position", columns="seed", values=quantity)
            found.setdefault(step, {})[str(kind)] = grid.to_numpy(float)
    return found


def decades(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return powers of ten around all numbers that are finite and above 0; (0.001, 1000) if none is."""
    every = np.concatenate([v.ravel() for v in values])
    every = every[np.isfinite(every) & (every > 0)]
    if not len(every):
        return 1e-3, 1e3
    return 10.0 ** np.floor(np.log10(every.min())), 10.0 ** np.ceil(np.log10(every.max()))
