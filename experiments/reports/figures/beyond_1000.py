"""Beyond the paper: the MNIST network to ten times the LSTM's training horizon."""

from pathlib import Path

from experiments.reports.figures.curves import Panel, draw_curves

PANELS = (Panel("beyond-1000", "MNIST, 1,000 steps"),)


def draw(results: Path) -> list[Path]:
    """Draw the panel if it has results; return the files written."""
    return draw_curves(results, "beyond_1000", PANELS)
