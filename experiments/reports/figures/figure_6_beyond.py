"""Beyond figure 6: all optimizers, one, two and three hidden layers, up to 80 units."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from experiments.reports.claims import Stored, final_window
from experiments.reports.figures import style
from experiments.reports.figures.curves import diverged_note, finite
from experiments.reports.intervals import Array, mean_interval, variation_losses
from experiments.results.queries import PanelRuns

PANELS = ("figure_6_beyond_1_layer", "figure_6_beyond_2_layer", "figure_6_beyond_3_layer")
TRAINED_PANEL, TRAINED_UNITS = PANELS[0], 20


def draw(results: Path, stored: Stored, paper: bool = True) -> list[Path]:
    """Draws the panels that have runs; returns the files written. The paper has no such figure."""
    del paper
    shown = [stored[key] for key in PANELS if key in stored]
    if not shown:
        return []
    losses = {runs.panel.key: variation_losses(runs.curves(), final_window(runs), ["units"]) for runs in shown}
    with style.applied():
        figure, axes = style.panels(len(shown), share_y=True)
        means = [draw_panel(ax, runs, losses[runs.panel.key]) for runs, ax in zip(shown, axes, strict=True)]
        if TRAINED_PANEL in losses:
            mark_training(axes, losses[TRAINED_PANEL])
        drawn = np.concatenate(means)
        style.log_y(axes[0], float(np.nanmin(drawn)), float(np.nanmax(drawn)))
        axes[0].set_ylabel("Final loss")
        style.legend(figure, style.ordered(shown))
        return style.save(figure, results / "figures", "figure_6_beyond")


def draw_panel(axes: Axes, runs: PanelRuns, losses: pd.DataFrame) -> Array:
    """One panel: mean final loss and its 95% interval at each number of units; returns the ends, for the y range."""
    units = losses.index.unique("units").to_numpy()
    ends, notes = [], []
    for optimizer, look in style.ordered([runs]).items():
        interval = mean_interval(losses[optimizer].to_numpy().reshape(units.size, -1).T)
        mean, low, high = finite(interval.mean), finite(interval.low), finite(interval.high)
        axes.plot(units, mean, marker="o", markersize=3.5, **look)
        axes.fill_between(units, low, high, color=look["color"], alpha=0.2, linewidth=0)
        ends += [mean, low, high]
        notes += diverged_note(optimizer, losses[optimizer].to_numpy()[:, None])
    axes.set_title(runs.panel.title)
    axes.set_xlabel("\n".join(["Hidden units", *notes]))
    return np.concatenate(ends)


def mark_training(axes: list[Axes], losses: pd.DataFrame) -> None:
    """The architecture that the LSTM was trained for (vertical) and its final loss there (horizontal)."""
    trained = losses["LSTM"].to_numpy()[losses.index.get_level_values("units") == TRAINED_UNITS]
    if not trained.size:
        return
    line: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 0.9, "zorder": 1}
    axes[0].axvline(TRAINED_UNITS, **line)
    for ax in axes:
        ax.axhline(trained.mean(), **line)
