"""Beyond the paper: the MNIST network to ten times the length that the LSTM was trained for."""

from pathlib import Path

from experiments.reports.claims import Stored
from experiments.reports.figures.curves import draw_curves

PANELS = ("beyond_1000",)


def draw(results: Path, stored: Stored, paper: bool = True) -> list[Path]:
    """Draws the panels that have runs; returns the files written."""
    return draw_curves(results, "beyond_1000", PANELS, stored, paper=paper)
