"""Figure 5: the LSTM of figure 4 on other architectures, not retrained."""

from pathlib import Path

from experiments.reports.figures.curves import Panel, draw_curves

PANELS = (
    Panel("5-left", "MNIST, 40 units"),
    Panel("5-centre", "MNIST, 2 layers"),
    Panel("5-right", "MNIST, ReLU"),
)


def draw(results: Path) -> list[Path]:
    """Draw the panels that have results; return the files written."""
    return draw_curves(results, "figure_5", PANELS)
