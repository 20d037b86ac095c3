"""Figure 10 (appendix B): update against gradient, for two coordinates at several steps of a trajectory."""

from pathlib import Path

import pandas as pd

from experiments.reports.figures import style
from experiments.results.store import UPDATES, read_parquet


def draw(results: Path) -> list[Path]:
    """Draw a row of panels a coordinate, a column a step; return the files written.

    Raises:
        InputError: the stored file is bad, or the figure cannot be written.
    """
    path = results / "updates" / "10.parquet"
    if not path.exists():
        return []
    updates = read_parquet(path, UPDATES)
    coordinates, steps = updates["coordinate"].unique(), updates["step"].unique()
    with style.applied():
        figure, axes = style.grid(len(coordinates), len(steps))
        for row, coordinate in enumerate(coordinates):
            for column, step in enumerate(steps):
                chosen = updates[(updates["coordinate"] == coordinate) & (updates["step"] == step)]
                draw_panel(axes[row][column], chosen)
            axes[row][0].set_ylabel(f"Coordinate {row + 1}\nUpdate")
        for column, step in enumerate(steps):
            axes[0][column].set_title(f"Step {step}")
            axes[-1][column].set_xlabel("Gradient")
        style.legend(figure, updates["optimizer"].unique())
        return style.save(figure, results / "figures", "figure_10")


def draw_panel(axes: style.Axes, updates: pd.DataFrame) -> None:
    """One coordinate at one step."""
    axes.axhline(0.0, color="#bbbbbb", linewidth=0.8, zorder=1)
    axes.axvline(0.0, color="#bbbbbb", linewidth=0.8, zorder=1)
    for optimizer in style.in_order(updates["optimizer"].unique()):
        curve = updates[updates["optimizer"] == optimizer]
        axes.plot(curve["gradient"], curve["update"], **style.look(optimizer))
    axes.ticklabel_format(style="sci", scilimits=(-2, 3))
    axes.locator_params(axis="x", nbins=4)
