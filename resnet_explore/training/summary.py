"""What a table of runs comes down to: errors at the end, over the seeds."""

import numpy as np
import pandas as pd


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per network: its seeds, and the mean and standard deviation of its errors over them.

    Takes what `collect` returns. Rows are indexed by kind, depth and what else of the recipe varies; columns
    are seeds (how many), train_error, train_error_sd, test_error, test_error_sd, in percent after the last
    epoch. Deviations are of the sample (n - 1), nan for a single seed. Unfinished runs are left out.
    """
    last = table[table["epoch"] == table["epochs"]]
    recipe = ("epochs", "width", "batch_size", "schedule", "lr", "momentum", "weight_decay")
    more = [name for name in (*recipe, "label_smoothing", "augment", "precision") if last[name].nunique() > 1]
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
        values = [_mean(row[n], row[f"{n}_sd"]) for n in ("train_error", "test_error")]
        cells = [*map(str, key if isinstance(key, tuple) else (key,)), str(int(row["seeds"])), *values]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(mean: float, deviation: float) -> str:
    return f"{mean:.2f}" if np.isnan(deviation) else f"{mean:.2f} ± {deviation:.2f}"
