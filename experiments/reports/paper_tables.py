"""Our final losses beside the paper's, and the LSTM's lead beside its lead in the paper."""

from typing import Any

import numpy as np
import pandas as pd

from experiments.reports.claims import Stored, best_baseline
from experiments.reports.intervals import Window, mean_interval, paired_ratio, problem_losses
from experiments.reports.paper import paper_curves, paper_figure_6, points_mean, unit_unknown
from experiments.reports.tables import final_window, markdown
from experiments.results.queries import PanelRuns

LEARNED = "LSTM"
LOSSES = ["panel", "optimizer", "step", "paper_loss", "loss", "ci_low", "ci_high", "ratio"]
LEADS = ["panel", "paper_lead", "lead", "ci_low", "ci_high"]
FIGURE_6 = {"6-1-layer": (1, 100), "6-2-layer": (2, 100), "6-1-layer-200": (1, 200), "6-2-layer-200": (2, 200)}
FIGURE_6_STEP = {LEARNED: 100, "ADAM": 100, "NAG": 200}

INTRODUCTION = """\
# Held against the paper

`results/paper/README.md` says where the paper's numbers are from. Loss: the last point of the paper's curve, and ours
at the same step (figure 7: means of ten steps), with its 95% interval over the test problems; ratio: ours / the
paper's. Lead: the LSTM's final loss / the best baseline's; ours is of the means over the panel's last steps, and the
best baseline the one with the lowest mean on the same problems. A lead below 1 means that the LSTM is best. Panels
whose names end in -train are on training images, which the paper's curves of MNIST are of; all others with images are
on test images.

"""


def paper_table(stored: Stored) -> pd.DataFrame:
    """The paper's last point of every curve beside ours, in figures 4, 5 and 7, and every point of figure 6.

    Returns:
        Columns panel, optimizer, step (ours, from 0 on), paper_loss, loss, ci_low, ci_high, ratio (ours / the paper's).
    """
    tables = [last_points(runs) for runs in stored.values()] + [figure_6_points(runs) for runs in stored.values()]
    return pd.concat([pd.DataFrame(columns=LOSSES), *(table for table in tables if len(table))], ignore_index=True)


def last_points(runs: PanelRuns) -> pd.DataFrame:
    """The rows of a panel of curves; none if the paper has no such panel."""
    rows = []
    for optimizer, curve in paper_curves(runs.panel.name).groupby("optimizer"):
        curve = curve[curve.step <= runs.panel.steps]
        if optimizer in runs.runs and len(curve) and not unit_unknown(runs.panel.name):
            last = curve.sort_values("step").iloc[-1]
            window = Window(int(last.step) - points_mean(runs.panel.name) + 1, int(last.step))
            losses = problem_losses(_of(runs, str(optimizer)), window)[optimizer].to_numpy()
            rows.append(_beside(runs.panel.name, str(optimizer), int(last.step), float(last.loss), losses))
    return pd.DataFrame(rows, columns=LOSSES)


def figure_6_points(runs: PanelRuns) -> pd.DataFrame:
    """The rows of one of figure 6's panels: each optimizer at the step that the paper draws it at."""
    if runs.panel.name not in FIGURE_6 or runs.panel.variation_keys != ("units",):
        return pd.DataFrame(columns=LOSSES)
    layers, step = FIGURE_6[runs.panel.name]
    paper = paper_figure_6()
    curves, rows = runs.curves(), []
    for _, point in paper[paper.layers == layers].iterrows():
        optimizer = str(point.optimizer)
        mine = curves[(curves.optimizer == optimizer) & (curves.units == point.units)]
        if FIGURE_6_STEP[optimizer] == step and len(mine):
            losses = problem_losses(mine, final_window(runs))[optimizer].to_numpy()
            name = f"{runs.panel.name}, {point.units} units"
            rows.append(_beside(name, optimizer, step, float(point.final_loss), losses))
    return pd.DataFrame(rows, columns=LOSSES)


def paper_leads(stored: Stored) -> pd.DataFrame:
    """The LSTM's final loss divided by the best baseline's, in the paper and here, where all of its baselines have run.

    Returns:
        Columns panel, paper_lead, lead, ci_low, ci_high: below 1 the LSTM is best.
    """
    rows = []
    for runs in stored.values():
        paper = paper_curves(runs.panel.name)
        if LEARNED not in runs.learned or not runs.baselines or paper.empty:
            continue
        ends = paper[paper.step <= runs.panel.steps].groupby("optimizer").loss.last()
        baselines = [name for name in ends.index if not name.startswith(LEARNED)]
        if not set(baselines) <= set(runs.baselines):
            continue
        losses = problem_losses(runs.curves(), final_window(runs))
        best = best_baseline(losses, runs)
        ratio = paired_ratio(losses[LEARNED].to_numpy(), losses[best].to_numpy())
        theirs = float(ends[LEARNED] / ends[baselines].min())
        rows.append((runs.panel.name, theirs, float(ratio.mean), float(ratio.low), float(ratio.high)))
    return pd.DataFrame(rows, columns=LEADS)


def paper_markdown(losses: pd.DataFrame, leads: pd.DataFrame) -> str:
    """Both tables as one page."""
    return f"{INTRODUCTION}## Leads\n\n{markdown(leads)}\n## Losses\n\n{markdown(losses)}"


def _of(runs: PanelRuns, optimizer: str) -> pd.DataFrame:
    curves = runs.curves()
    return curves[curves.optimizer == optimizer]


def _beside(panel: str, optimizer: str, step: int, paper_loss: float, losses: np.ndarray) -> dict[str, Any]:
    interval = mean_interval(losses)
    ours = float(interval.mean)
    ends = float(interval.low), float(interval.high)
    return dict(zip(LOSSES, (panel, optimizer, step, paper_loss, ours, *ends, ours / paper_loss), strict=True))
