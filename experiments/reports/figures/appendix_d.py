"""Beyond the paper: appendix D's optimizers on quadratics and on the MNIST network, for which it gives no result."""

from pathlib import Path

from experiments.reports.claims import Stored
from experiments.reports.figures.curves import draw_curves

PANELS = ("coupled_quadratic_uniform", "coupled_quadratic", "coupled_mnist")
ILL_CONDITIONED = ("ill_conditioned_10", "ill_conditioned_50")


def draw(results: Path, stored: Stored, paper: bool = True) -> list[Path]:
    """Draws the panels that have runs; returns the files written."""
    return [
        *draw_curves(results, "appendix_d", PANELS, stored, paper=paper),
        *draw_curves(results, "appendix_d_ill_conditioned", ILL_CONDITIONED, stored, paper=paper),
    ]
