"""What a table of runs comes down to: errors at the end, over the seeds."""

import numpy as np
import pandas as pd

from resnet_explore.training.coverage import agree
from resnet_explore.training.plan import RECIPE


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per network: its seeds, and the mean and standard deviation of its errors over them.

    Takes what `collect` returns. Rows are indexed by kind, depth and what else of the recipe varies; columns
    are seeds (how many), train_error, train_error_sd, test_error, test_error_sd, in percent after the last
    epoch. Deviations are of the sample (n - 1), nan for a single seed. Unfinished runs are left out.
    """
    last = table[table["epoch"] == table["epochs"]]
    more = [name for name in RECIPE if name in last and not agree(name, last[name].dropna())]
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


def behind_numbers(table: pd.DataFrame) -> str:
    """Say what the numbers of `summarize` are: means over seeds, or errors of a single one."""
    seeds = summarize(table)["seeds"]
    if not (seeds > 1).any():
        return "one seed each, so without a spread"
    return "mean ± standard deviation over seeds" + (" where there are several" if seeds.min() == 1 else "")
