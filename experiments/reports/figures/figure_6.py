"""Figure 6 as the paper drew it: final losses of LSTM, ADAM and NAG against the hidden units, one line a depth."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from experiments.reports.claims import Stored, final_window
from experiments.reports.figures import style
from experiments.reports.figures.curves import finite
from experiments.reports.intervals import mean_interval, variation_losses
from experiments.reports.paper import paper_figure_6

# The panels of each optimizer, by number of layers; at step 200 too where that is where the paper has it.
AT_100 = {1: "figure_6_1_layer", 2: "figure_6_2_layer"}
AT_200 = {1: "figure_6_1_layer_200", 2: "figure_6_2_layer_200"}
OPTIMIZERS = ("LSTM", "ADAM", "NAG")
PAPER_AT_200 = "NAG"
COLOURS = {1: "#0072B2", 2: "#D55E00"}
TRAINED_UNITS = 20


def draw(results: Path, stored: Stored, paper: bool = True) -> list[Path]:
    """Draws the panels that have runs; returns the files written."""
    shown = [name for name in OPTIMIZERS if any(points(stored, AT_100[n], name) is not None for n in AT_100)]
    if not shown:
        return []
    with style.applied():
        figure, axes = style.panels(len(shown), share_y=True)
        ends = [draw_panel(ax, name, stored, paper) for name, ax in zip(shown, axes, strict=True)]
        mark_training(dict(zip(shown, axes, strict=True)), points(stored, AT_100[1], "LSTM"))
        style.log_y(axes[0], min(low for low, _ in ends), max(high for _, high in ends))
        axes[0].set_ylabel("Final loss")
        figure.legend(handles=handles(paper), loc="outside lower center", ncols=4, frameon=False)
        return style.save(figure, results / "figures", "figure_6")


def points(stored: Stored, key: str, optimizer: str) -> pd.DataFrame | None:
    """Mean final loss and its 95% interval by number of units: columns mean, low, high; None if there are no runs."""
    runs = stored.get(key)
    if runs is None or optimizer not in runs.runs:
        return None
    curves = runs.curves()
    losses = variation_losses(curves[curves.optimizer == optimizer], final_window(runs), ["units"])[optimizer]
    units = losses.index.unique("units")
    interval = mean_interval(losses.to_numpy().reshape(len(units), -1).T)
    return pd.DataFrame(
        {"mean": finite(interval.mean), "low": finite(interval.low), "high": finite(interval.high)}, index=units
    )


def draw_panel(axes: Axes, optimizer: str, stored: Stored, paper: bool) -> tuple[float, float]:
    """One optimizer's panel; returns the range of what is drawn."""
    drawn: list[float] = []
    at_200 = optimizer == PAPER_AT_200
    for layers, colour in COLOURS.items():
        ours = [(AT_100[layers], "-"), (AT_200[layers], "--")] if at_200 else [(AT_100[layers], "-")]
        for key, line in ours:
            found = points(stored, key, optimizer)
            if found is None:
                continue
            errors = [found["mean"] - found.low, found.high - found["mean"]]
            axes.errorbar(found.index, found["mean"], errors, color=colour, linestyle=line, marker="o", markersize=3)
            drawn += [*found.low, *found.high]
        if paper:
            theirs = paper_figure_6()
            theirs = theirs[(theirs.optimizer == optimizer) & (theirs.layers == layers)]
            errors = [theirs.final_loss - theirs.low, theirs.high - theirs.final_loss]
            axes.errorbar(theirs.units, theirs.final_loss, errors, color=colour, **style.PAPER)
            drawn += [*theirs.low, *theirs.high]
    axes.set_title(f"{optimizer}, step 100 (dashed: 200)" if at_200 else optimizer)
    axes.set_xlabel("Hidden units")
    return float(np.nanmin(drawn)), float(np.nanmax(drawn))


def mark_training(axes: dict[str, Axes], lstm: pd.DataFrame | None) -> None:
    """The LSTM's final loss on the network that it was trained for, in every panel; that network in its own."""
    if lstm is None or TRAINED_UNITS not in lstm.index:
        return
    line: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 0.9, "zorder": 1}
    axes["LSTM"].axvline(TRAINED_UNITS, **line)
    for ax in axes.values():
        ax.axhline(lstm["mean"][TRAINED_UNITS], **line)


def handles(paper: bool) -> list[Line2D]:
    """Of the legend."""
    lines = [
        Line2D([], [], color=colour, marker="o", markersize=3, label=f"{layers} layer{'s' * (layers > 1)}")
        for layers, colour in COLOURS.items()
    ]
    return [*lines, Line2D([], [], color="black", label="the paper's", **style.PAPER)] if paper else lines
