"""Figures whose panels are learning curves: mean loss over problems and its 95% band, against steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from experiments.reports.figures import style
from experiments.reports.intervals import Array, loss_table, mean_interval
from experiments.results.store import read_curves

RESAMPLES = 1_000  # for a band's looks; the tables use ten times as many
BLOCK, LONG = 10, 250  # runs of more than LONG steps are drawn as means of BLOCK steps: minibatch noise hides dashes


@dataclass(frozen=True)
class Panel:
    """One panel: which stored curves, the paper's title for it, and the first step it shows."""

    name: str
    title: str
    first_step: int = 0


def stored(results: Path, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The curves of those panels that have results, by name."""
    paths = {name: results / "curves" / f"{name}.parquet" for name in names}
    return {name: read_curves(path) for name, path in paths.items() if path.exists()}


def draw_curves(results: Path, name: str, panels: Sequence[Panel]) -> list[Path]:
    """Draw the panels that have results, side by side.

    Args:
        results: the folder with ``curves/``; the figure goes to its ``figures/``.
        name: of the figure's files.
        panels: from left to right.

    Returns:
        The files written; none when no panel has results.

    Raises:
        InputError: a stored file is bad, or the figure cannot be written.
    """
    curves = stored(results, [panel.name for panel in panels])
    if not curves:
        return []
    with style.applied():
        figure, axes = style.panels(len(curves))
        shown = [panel for panel in panels if panel.name in curves]
        for panel, ax in zip(shown, axes, strict=True):
            draw_panel(ax, panel, curves[panel.name])
        axes[0].set_ylabel("Loss")
        style.legend(figure, pd.concat([frame["optimizer"] for frame in curves.values()]).unique())
        return style.save(figure, results / "figures", name)


def draw_panel(axes: Axes, panel: Panel, curves: pd.DataFrame) -> None:
    """One panel. A mean that includes a diverged run is infinite: its line ends there, and the x label says so."""
    table = loss_table(curves[curves["step"] >= panel.first_step])
    block = BLOCK if table.shape[1] > LONG else 1
    every_step = table.columns.to_numpy(dtype=np.float64)
    steps = blocks(every_step, block)
    means, notes = [], []
    for optimizer in style.in_order(table.index.unique("optimizer")):
        runs = blocks(table.loc[optimizer].to_numpy(), block)
        band = mean_interval(runs, RESAMPLES)
        look = style.look(optimizer)
        axes.plot(steps, finite(band.mean), **look)
        axes.fill_between(steps, finite(band.low), finite(band.high), color=look["color"], alpha=0.2, linewidth=0)
        means.append(band.mean)
        notes += diverged_note(optimizer, runs)
    axes.set_title(panel.title)
    axes.set_xlabel("\n".join(["Step" if block == 1 else f"Step (means of {block})", *notes]))
    axes.set_xlim(panel.first_step, every_step[-1])
    style.log_y(axes, *limits(np.stack(means)))


def blocks(values: Array, block: int) -> Array:
    """Means of consecutive blocks along the last axis, [..., steps // block]; steps over at the start are left out."""
    whole = values.shape[-1] // block * block
    return values[..., values.shape[-1] - whole :].reshape(*values.shape[:-1], -1, block).mean(axis=-1)


def finite(values: Array) -> Array:
    """Infinite values as NaN, which Matplotlib leaves out."""
    return np.where(np.isfinite(values), values, np.nan)


def limits(means: Array) -> tuple[float, float]:
    """The y range of mean curves [curves, steps]: all of them, but a diverging one only to ten times the start."""
    shown = means[np.isfinite(means) & (means > 0)]
    if not shown.size:
        return 0.1, 1.0
    start = means[:, 0][np.isfinite(means[:, 0])]
    ceiling = 10 * start.max() if start.size else np.inf
    return float(shown.min()), float(min(shown.max(), ceiling))


def diverged_note(optimizer: str, runs: Array) -> list[str]:
    """A line that says on how many problems an optimizer's runs [problems, steps] diverged; none when on none."""
    diverged = int((~np.isfinite(runs)).any(axis=1).sum())
    return [f"({optimizer} diverged on {diverged} of {len(runs)} problems)"] if diverged else []
