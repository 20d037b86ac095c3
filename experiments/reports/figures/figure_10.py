"""Figures 10 to 13 (appendix B): updates on the way of the trained optimizer, and the updates for other gradients."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.reports.claims import Stored
from experiments.reports.figures import style
from experiments.results.tables import read_table

PLACE = ["row", "column", "channel"]
COLOURS = ("red", "green", "blue")
LEARNED = "LSTM"
RESPONSE_COLUMNS = 8  # panels in a row of figures 11 to 13


def draw(results: Path, stored: Stored, paper: bool = True) -> list[Path]:
    """Draws the figures that have tables in `updates/`; returns the files written.

    Raises:
        InputError: a table is not as it must be.
    """
    del stored, paper
    written = []
    histories, responses = (results / "updates" / f"{name}.csv" for name in ("histories", "responses"))
    if histories.exists():
        written += draw_histories(results, read_table(histories, ["step", "update"], [*PLACE, "optimizer"]))
    if responses.exists():
        table = read_table(responses, ["step", "gradient", "update"], [*PLACE, "optimizer"])
        for number, (_, of_place) in enumerate(table.groupby(PLACE, sort=False), start=11):
            written += draw_responses(results, f"figure_{number}", of_place)
    return written


def draw_histories(results: Path, table: pd.DataFrame) -> list[Path]:
    """Figure 10: a panel for each coordinate, its updates against steps."""
    with style.applied():
        places = list(table.groupby(PLACE, sort=False))
        figure, axes = style.panels(len(places))
        for (place, updates), ax in zip(places, axes, strict=True):
            for optimizer, curve in updates.groupby("optimizer", sort=False):
                ax.plot(curve.step, curve["update"], **look(str(optimizer)))
            ax.set_title(title(place))
            ax.set_xlabel("Step")
        axes[0].set_ylabel("Update")
        legend(figure, table)
        return style.save(figure, results / "figures", "figure_10")


def draw_responses(results: Path, name: str, table: pd.DataFrame) -> list[Path]:
    """One of figures 11 to 13: a panel for each step, the proposed update against the gradient."""
    steps = sorted(table.step.unique())
    rows = -(-len(steps) // RESPONSE_COLUMNS)
    with style.applied():
        figure = Figure(figsize=(1.15 * RESPONSE_COLUMNS + 0.4, 1.1 * rows + 0.6), layout="constrained")
        grid = figure.subplots(rows, RESPONSE_COLUMNS, squeeze=False, sharex=True, sharey=True)
        for axes in grid.flat[len(steps) :]:
            axes.set_visible(False)
        for step, axes in zip(steps, grid.flat, strict=False):
            for optimizer, curve in table[table.step == step].groupby("optimizer", sort=False):
                axes.plot(curve.gradient, curve["update"], **(look(str(optimizer)) | {"linewidth": 1.0}))
            axes.set_title(f"{step}", fontsize=7, pad=2)
            axes.tick_params(labelsize=6)
        # SGD's line would leave the others no room: the range is the learned optimizer's.
        learned = table["update"][table["optimizer"] == LEARNED]
        reach = 1.1 * float((learned if len(learned) else table["update"]).abs().max())
        grid[0][0].set_ylim(-reach, reach)
        place = tuple(int(table[key].iloc[0]) for key in PLACE)
        figure.suptitle(title(place), fontsize=9)
        for axes in grid[-1]:  # a label of the whole figure would lie under the legend
            axes.set_xlabel("Gradient", fontsize=7)
        figure.supylabel("Update", fontsize=9)
        legend(figure, table)
        return style.save(figure, results / "figures", name)


def look(optimizer: str) -> dict[str, Any]:
    """The line of an optimizer."""
    return style.look(optimizer, optimizer == LEARNED)


def legend(figure: Figure, table: pd.DataFrame) -> None:
    """Of the optimizers in a table."""
    style.legend(figure, {str(name): look(str(name)) for name in table.optimizer.unique()})


def title(place: object) -> str:
    """A coordinate in words."""
    row, column, channel = place if isinstance(place, tuple) else (0, 0, 0)
    return f"Pixel ({row}, {column}), {COLOURS[int(channel)]}"
