"""The suite's table: what works where."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.reports.intervals import mean_interval
from experiments.results.tables import read_table
from experiments.suite.runs import DEFAULT, LOSSES, best_rates

COLUMNS = ["task", "optimizer", "learning_rate", "horizon", "mean", "ci_low", "ci_high", "n", "diverged", "start"]
MEASURED = ["seed", "learning_rate", "horizon", *LOSSES]  # columns of a stored run, besides its stream
FOR_TABLE = {"RNNprop": "RNNprop", "mnist": "LSTM mnist", "cifar10": "LSTM cifar10"}


def collect(folder: Path) -> pd.DataFrame:
    """All stored runs, with the task's name."""
    paths = sorted(folder.glob("*/*.csv"))
    parts = [
        read_table(path, MEASURED, ["stream"]).assign(task=path.parent.name, optimizer=path.stem) for path in paths
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def suite_table(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per task, optimizer and horizon: columns `COLUMNS`.

    A hand-designed optimizer has a row at its tuned rate, the best on validation seeds at that horizon, and ADAM one
    at its default. `diverged`: on how many seeds the loss was not finite, or above the start.
    """
    rows = []
    for names, of_both in runs.groupby(["task", "optimizer"], sort=False):
        task, optimizer = map(str, names)
        test = of_both[of_both.stream == "test"]
        best = best_rates(of_both) if (of_both.stream == "validation").any() else {}
        for horizon in test.horizon.unique().tolist():
            of_horizon = test[test.horizon == horizon]
            variants = {FOR_TABLE.get(optimizer, optimizer): float("nan")}
            if best:
                variants = {f"{optimizer} tuned": best[horizon]}
                variants |= {"Adam default": DEFAULT} if optimizer == "Adam" else {}
            for name, rate in variants.items():
                chosen = of_horizon if np.isnan(rate) else of_horizon[np.isclose(of_horizon.learning_rate, rate)]
                rows.append((task, name, rate, horizon, *_summary(chosen)))
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["task", "horizon", "optimizer"], ignore_index=True)


def _summary(runs: pd.DataFrame) -> tuple[float, float, float, int, int, float]:
    losses, start = runs.end.to_numpy(float), runs.start.to_numpy(float)
    diverged = int((~np.isfinite(losses) | (losses > start)).sum())
    if not np.isfinite(losses).all():
        return np.inf, np.nan, np.nan, len(runs), diverged, start.mean()
    interval = mean_interval(losses)
    return float(losses.mean()), float(interval.low), float(interval.high), len(runs), diverged, start.mean()


def what_works_where(table: pd.DataFrame, horizon: int, optimizers: Iterable[str] | None = None) -> str:
    """The losses at one horizon as Markdown, the best of a task in bold, and a line that counts."""
    at = table[table.horizon == horizon]
    pivot = at.pivot_table("mean", "task", "optimizer")
    names = [name for name in (optimizers or _order(pivot.columns)) if name in pivot]
    pivot = pivot[names]
    lines = [f"| step {horizon} | start | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for task, losses in pivot.iterrows():
        start = at[at.task == task].start.iloc[0]
        cells = [f"**{_shown(x)}**" if x == losses.min() < np.inf else _shown(x) for x in losses]
        lines.append(f"| {task} | {start:.3g} | {' | '.join(cells)} |")
    if "general" in pivot:
        lines.append("")
        for name in [name for name in names if name != "general"]:
            both = pivot[["general", name]].dropna()
            lower, finite = both["general"] < both[name], both[np.isfinite(both).all(axis=1)]
            mean = np.exp(np.log(finite["general"] / finite[name]).mean())
            where = f" on the {len(finite)} where both are finite" if len(finite) < len(both) else ""
            lines.append(
                f"- `general` is below {name} on {lower.sum()} of {len(both)} tasks; "
                f"the geometric mean of the ratio of their losses is {mean:.2f}{where}."
            )
    return "\n".join(lines) + "\n"


def _order(names: Iterable[str]) -> list[str]:
    first = ["general", "Adam default", "Adam tuned", "AdamW tuned", "NAG tuned", "RMSprop tuned", "RNNprop"]
    return [name for name in first if name in names] + [name for name in names if name not in first]


def _shown(loss: float) -> str:
    if np.isnan(loss):
        return "–"  # not measured
    return f"{loss:.3g}" if np.isfinite(loss) else "diverged"
