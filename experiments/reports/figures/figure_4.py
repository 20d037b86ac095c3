"""Figure 4: the optimizees that the LSTM was trained for, and MNIST beyond its training horizon."""

from pathlib import Path

from experiments.reports.figures.curves import Panel, draw_curves

PANELS = (
    Panel("4-left", "Quadratics"),
    Panel("4-centre", "MNIST"),
    Panel("4-right", "MNIST, 200 steps", first_step=100),
)


def draw(results: Path) -> list[Path]:
    """Draw the panels that have results; return the files written."""
    return draw_curves(results, "figure_4", PANELS)
