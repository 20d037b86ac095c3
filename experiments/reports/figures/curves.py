"""Figures whose panels are learning curves: mean loss over problems and its 95% band, against steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from experiments.reports.claims import Stored
from experiments.reports.figures import style
from experiments.reports.intervals import Array, loss_table, mean_interval
from experiments.reports.paper import in_our_unit, paper_curves, unit_unknown
from experiments.results.queries import PanelRuns

RESAMPLES = 1_000  # for a band's looks; the tables use ten times as many
BLOCK, LONG = 10, 250  # runs of more than LONG steps are drawn as means of BLOCK steps: minibatch noise hides dashes


@dataclass(frozen=True)
class Curves:
    """A figure of learning curves.

    Attributes:
        name: of its files.
        panels: from left to right, by their keys.
        first_steps: the first step that a panel shows, where it is not 0.
        zoomed_from: the y axis shows the losses from this step on; those before may be above it.
    """

    name: str
    panels: Sequence[str]
    first_steps: Mapping[str, int] = field(default_factory=dict)
    zoomed_from: int = 0

    def draw(self, results: Path, stored: Stored, paper: bool = True) -> list[Path]:
        """Draws the panels that have runs, side by side, into ``results/figures``.

        Args:
            paper: whether the paper's own curves are drawn under ours.

        Returns:
            The files written; none when no panel has runs.

        Raises:
            InputError: the figure cannot be written.
        """
        shown = [stored[key] for key in self.panels if key in stored]
        if not shown:
            return []
        with style.applied():
            figure, axes = style.panels(len(shown))
            theirs = [
                draw_panel(ax, runs, self.first_steps.get(runs.panel.key, 0), paper, self.zoomed_from)
                for runs, ax in zip(shown, axes, strict=True)
            ]
            axes[0].set_ylabel("Loss")
            style.legend(figure, style.ordered(shown), any(theirs))
            return style.save(figure, results / "figures", self.name)


# The optimizees that the LSTM was trained for, and MNIST beyond its training horizon.
FIGURE_4 = Curves(
    "figure_4",
    ("figure_4_left_uniform", "figure_4_left", "figure_4_centre", "figure_4_right"),
    first_steps={"figure_4_right": 100},
)
# The LSTM of figure 4 on other architectures, not retrained.
FIGURE_5 = Curves("figure_5", ("figure_5_left", "figure_5_centre", "figure_5_centre_calibrated", "figure_5_right"))
# Both on training images, which the paper's curves are of.
FIGURE_4_TRAIN = Curves(
    "figure_4_train", ("figure_4_centre_train", "figure_4_right_train"), first_steps={"figure_4_right_train": 100}
)
FIGURE_5_TRAIN = Curves("figure_5_train", tuple(f"{key}_train" for key in FIGURE_5.panels))
# A convolutional network on held-out images of CIFAR-10 and of two subsets of its labels.
FIGURE_7 = Curves("figure_7", ("figure_7_left", "figure_7_centre", "figure_7_right"))
# The same from the start that the paper's own curves speak for.
FIGURE_7_GAUSSIAN = Curves("figure_7_gaussian", tuple(f"{key}_gaussian" for key in FIGURE_7.panels))
# Neural art, the training style at 64 pixels and another one at 128. The paper's losses are in a unit that it does not
# give; its curves are multiplied so that the best baselines end alike, and come into the figure at steps 8 to 20.
FIGURE_8 = Curves("figure_8", ("figure_8_left", "figure_8_right"), zoomed_from=15)
# Beyond the paper: the MNIST network to ten times the length that the LSTM was trained for.
BEYOND_1000 = Curves("beyond_1000", ("beyond_1000",))
# Beyond the paper: appendix D's optimizers, for which it gives no result.
APPENDIX_D = Curves("appendix_d", ("coupled_quadratic_uniform", "coupled_quadratic", "coupled_mnist"))
ILL_CONDITIONED = Curves("appendix_d_ill_conditioned", ("ill_conditioned_10", "ill_conditioned_50"))


def draw_panel(axes: Axes, runs: PanelRuns, first_step: int = 0, paper: bool = True, zoomed_from: int = 0) -> bool:
    """One panel. A mean that includes a diverged run is infinite: its line ends there, and the x label says so.

    Returns:
        Whether the paper's curves are under ours.
    """
    curves = runs.curves()
    table = loss_table(curves[curves["step"] >= first_step])
    block = BLOCK if table.shape[1] > LONG else 1
    every_step = table.columns.to_numpy(dtype=np.float64)
    steps = blocks(every_step, block)
    means, notes = [], []
    for optimizer, look in style.ordered([runs]).items():
        losses = blocks(table.loc[optimizer].to_numpy(), block)
        band = mean_interval(losses, RESAMPLES)
        axes.plot(steps, finite(band.mean), **look)
        axes.fill_between(steps, finite(band.low), finite(band.high), color=look["color"], alpha=0.2, linewidth=0)
        means.append(band.mean)
        notes += diverged_note(optimizer, losses)
    axes.set_title(runs.panel.title)
    axes.set_xlabel("\n".join(["Step" if block == 1 else f"Step (means of {block})", *notes]))
    axes.set_xlim(first_step, every_step[-1])
    low, high = limits(np.stack(means)[:, steps >= zoomed_from])
    theirs = paper_curves(runs.panel.name) if paper else pd.DataFrame(columns=["optimizer", "step", "loss"])
    if len(theirs) and unit_unknown(runs.panel.name) and runs.baselines:
        ours = {name: means[place][-1] for place, name in enumerate(style.ordered([runs])) if name in runs.baselines}
        theirs = in_our_unit(
            theirs, pd.DataFrame({"optimizer": [*ours], "step": runs.panel.steps, "loss": [*ours.values()]})
        )
    theirs = theirs[theirs.step.between(first_step, every_step[-1])]
    for name, curve in theirs.groupby("optimizer"):
        axes.plot(curve.step, curve.loss, **style.paper_look(str(name), name in runs.panel.learned))
    style.log_y(axes, min(low, theirs.loss.min()) if len(theirs) else low, high)
    return bool(len(theirs))


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
