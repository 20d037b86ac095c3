"""Figure 7: a convolutional network on held-out images of CIFAR-10 and of two subsets of its labels."""

from pathlib import Path

from experiments.reports.figures.curves import Panel, draw_curves

PANELS = (
    Panel("7-left", "CIFAR-10"),
    Panel("7-centre", "CIFAR-5"),
    Panel("7-right", "CIFAR-2"),
)


def draw(results: Path) -> list[Path]:
    """Draw the panels that have results; return the files written."""
    return draw_curves(results, "figure_7", PANELS)
