"""Figure 5: the LSTM of figure 4 on other architectures, not retrained."""

from pathlib import Path

from experiments.reports.claims import Stored
from experiments.reports.figures.curves import draw_curves

PANELS = ("figure_5_left", "figure_5_centre", "figure_5_right")


def draw(results: Path, stored: Stored, paper: bool = True) -> list[Path]:
    """Draws the panels that have runs; returns the files written."""
    return draw_curves(results, "figure_5", PANELS, stored, paper=paper)
