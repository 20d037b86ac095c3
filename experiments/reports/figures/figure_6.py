"""Figure 6: the final MNIST loss as the architecture varies, for one, two and three hidden layers."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from experiments.reports.figures import style
from experiments.reports.figures.curves import diverged_note, finite, stored
from experiments.reports.intervals import Array, Window, architecture_losses, mean_interval

PANELS = {"6-1-layer": "1 layer", "6-2-layer": "2 layers", "6-3-layer": "3 layers"}
FINAL = Window(91, 100)
TRAINED_PANEL, TRAINED_UNITS = "6-1-layer", 20


def draw(results: Path) -> list[Path]:
    """Draw the panels that have results; return the files written."""
    curves = stored(results, list(PANELS))
    if not curves:
        return []
    losses = {name: architecture_losses(frame, FINAL) for name, frame in curves.items()}
    with style.applied():
        figure, axes = style.panels(len(losses), share_y=True)
        means = [draw_panel(ax, PANELS[name], losses[name]) for name, ax in zip(losses, axes, strict=True)]
        if TRAINED_PANEL in losses:
            mark_training(axes, losses[TRAINED_PANEL])
        shown = np.concatenate(means)
        style.log_y(axes[0], float(np.nanmin(shown)), float(np.nanmax(shown)))
        axes[0].set_ylabel("Final loss")
        style.legend(figure, next(iter(losses.values())).columns)
        return style.save(figure, results / "figures", "figure_6")


def draw_panel(axes: Axes, title: str, losses: pd.DataFrame) -> Array:
    """One panel: mean final loss and its 95% interval at each number of units; returns the ends, for the y range."""
    units = losses.index.unique("units").to_numpy()
    ends, notes = [], []
    for optimizer in style.in_order(losses.columns):
        interval = mean_interval(losses[optimizer].to_numpy().reshape(units.size, -1).T)
        mean, low, high = finite(interval.mean), finite(interval.low), finite(interval.high)
        look = style.look(optimizer)
        axes.plot(units, mean, marker="o", markersize=3.5, **look)
        axes.fill_between(units, low, high, color=look["color"], alpha=0.2, linewidth=0)
        ends += [mean, low, high]
        notes += diverged_note(optimizer, losses[optimizer].to_numpy()[:, None])
    axes.set_title(title)
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
