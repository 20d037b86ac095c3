"""Figure 7: a convolutional network on held-out images of CIFAR-10 and of two subsets of its labels."""

from pathlib import Path

from experiments.reports.claims import Stored
from experiments.reports.figures.curves import draw_curves

PANELS = ("figure_7_left", "figure_7_centre", "figure_7_right")


def draw(results: Path, stored: Stored, paper: bool = True) -> list[Path]:
    """Draws the panels that have runs; returns the files written."""
    return draw_curves(results, "figure_7", PANELS, stored, paper=paper)
