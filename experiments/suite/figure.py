"""The suite's figure: each optimizer's final loss over tuned ADAM's, task by task."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.reports.figures.style import applied, save

SHOWN = {
    "general": ("#D55E00", "o"),
    "Adam default": ("#CC79A7", "v"),
    "NAG tuned": ("#56B4E9", "s"),
    "RNNprop": ("#009E73", "^"),
    "LSTM mnist": ("#000000", "x"),
}
REFERENCE = "Adam tuned"
LIMITS = 0.05, 20.0  # of the ratio; what lies outside is drawn at the edge


def draw(table: pd.DataFrame, path: Path, horizon: int = 1000) -> None:
    """Writes `path`.png and .pdf; below 1 is better than ADAM with the rate tuned on the task.

    Without that reference there is nothing to draw.
    """
    at = table[table.horizon == horizon].pivot_table("mean", "task", "optimizer")
    if REFERENCE not in at:
        return
    with applied():
        figure = Figure(figsize=(7.0, 0.3 * len(at) + 1.2), layout="constrained")
        axes = figure.subplots()
        for order, (name, (colour, marker)) in enumerate(SHOWN.items()):
            if name in at:
                ratio = np.clip(at[name] / at[REFERENCE], *LIMITS)
                axes.plot(
                    ratio, np.arange(len(at)), marker, color=colour, label=name, linestyle="none", zorder=9 - order
                )
        axes.axvline(1.0, color="#777777", linewidth=1.0)
        axes.set_xscale("log")
        axes.set_yticks(np.arange(len(at)), at.index)
        axes.invert_yaxis()
        low, high = LIMITS
        axes.set_xlabel(f"loss at step {horizon:,} / loss of ADAM with its tuned rate (clipped to {low:g} to {high:g})")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=len(SHOWN), frameon=False)
        save(figure, path.parent, path.name)
