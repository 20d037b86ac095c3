"""Tables from the stored runs: final losses, accuracies, transfer between data sets."""

from typing import Any

import numpy as np
import pandas as pd

from experiments.reports.claims import Stored, best_baseline, final_window
from experiments.reports.intervals import mean_interval, paired_difference, problem_losses
from experiments.results.queries import PanelRuns
from l2l_tf.errors import InputError

MEASURED = ["learning_rate", "window", "mean", "ci_low", "ci_high", "median", "n", "diverged"]


def final_loss_table(stored: Stored) -> pd.DataFrame:
    """The final loss of every optimizer in every panel, and for every variation of its optimizee.

    Returns:
        Columns panel, what is varied (such as units), optimizer, learning_rate (missing for learned ones), window,
        mean, ci_low, ci_high, median, n, diverged: the number of problems on which the loss was not finite inside the
        window (mean is then inf).
    """
    tables = [final_losses(runs) for runs in stored.values()]
    varied = sorted({key for runs in stored.values() for key in runs.panel.variation_keys})
    whole = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return whole.reindex(columns=["panel", *varied, "optimizer", *MEASURED])


def final_losses(runs: PanelRuns) -> pd.DataFrame:
    """The rows of one panel."""
    curves, window = runs.curves(), final_window(runs)
    rows: list[dict[str, Any]] = []
    for index, variation in enumerate(runs.variations):
        same = np.ones(len(curves), bool)
        for key, value in variation.items():
            same &= (curves[key] == value).to_numpy()
        losses = problem_losses(curves[same], window)
        for optimizer in losses.columns:
            rows.append(
                {
                    "panel": runs.panel.name,
                    **variation,
                    "optimizer": optimizer,
                    "learning_rate": runs.rates[optimizer][index] if optimizer in runs.rates else np.nan,
                    "window": str(window),
                    **summary(losses[optimizer].to_numpy()),
                }
            )
    return pd.DataFrame(rows)


def summary(losses: np.ndarray) -> dict[str, float]:
    """Mean, its 95% interval, median, number and how many diverged, of losses [problems]."""
    interval = mean_interval(losses)
    return {
        "mean": float(interval.mean),
        "ci_low": float(interval.low),
        "ci_high": float(interval.high),
        "median": float(np.median(losses)),
        "n": len(losses),
        "diverged": int(np.isinf(losses).sum()),
    }


def accuracy_table(stored: Stored) -> pd.DataFrame:
    """The final accuracy of every optimizer in every panel whose optimizee classifies.

    Returns:
        Columns panel, what is varied, optimizer, step, mean, ci_low, ci_high, n; a fraction of all images of
        the panel's split.
    """
    rows = []
    for runs in stored.values():
        accuracies = runs.accuracies()
        keys = ["panel", *runs.panel.variation_keys, "optimizer"]
        if accuracies.empty:
            continue
        for place, group in accuracies.groupby(keys, sort=False):
            measured = summary(group.accuracy.to_numpy(dtype=np.float64))
            kept = {key: measured[key] for key in ("mean", "ci_low", "ci_high", "n")}
            rows.append({**dict(zip(keys, place, strict=True)), "step": runs.panel.steps, **kept})
    return pd.DataFrame(rows)


def transfer_table(stored: Stored) -> pd.DataFrame:
    """Optimizers used on other data than they were trained on, beside that data's own LSTM and tuned baselines.

    Returns:
        Of every panel that has learned optimizers only and stands `beside` another one: columns panel, optimizer, those
        of a final loss, and the mean difference to the best baseline on the same problems: best_baseline, difference,
        difference_low, difference_high.

    Raises:
        InputError: the two panels' problems or steps are not the same.
    """
    tables = []
    for runs in stored.values():
        home = stored.get(runs.panel.beside or "")
        if home is None:
            continue
        if (home.panel.problems, home.panel.steps, home.panel.seed) != (
            runs.panel.problems,
            runs.panel.steps,
            runs.panel.seed,
        ):
            raise InputError(f"panel={runs.panel.key}: must have the problems and steps of panel={home.panel.key}")
        losses = pd.concat([problem_losses(one.curves(), final_window(runs)) for one in (home, runs)], axis=1)
        best = best_baseline(losses, home)
        table = pd.concat([final_losses(home), final_losses(runs)], ignore_index=True).assign(panel=runs.panel.name)
        gaps = [paired_difference(losses[name].to_numpy(), losses[best].to_numpy()) for name in table.optimizer]
        ends = {"difference": "mean", "difference_low": "low", "difference_high": "high"}
        differences = {name: [float(getattr(gap, end)) for gap in gaps] for name, end in ends.items()}
        tables.append(table.assign(best_baseline=best, **differences))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def markdown(table: pd.DataFrame) -> str:
    """A Markdown table, numbers to four digits."""
    lines = [list(table.columns), ["---"] * len(table.columns)]
    lines += [[f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row] for row in table.to_numpy()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
