"""Figure 4: the optimizees that the LSTM was trained for, and MNIST beyond its training horizon."""

from pathlib import Path

from experiments.reports.claims import Stored
from experiments.reports.figures.curves import draw_curves

PANELS = ("figure_4_left_uniform", "figure_4_left", "figure_4_centre", "figure_4_right")


def draw(results: Path, stored: Stored, paper: bool = True) -> list[Path]:
    """Draws the panels that have runs; returns the files written."""
    return draw_curves(results, "figure_4", PANELS, stored, {"figure_4_right": 100}, paper)
