"""The paper's figures, drawn from stored runs alone."""

from pathlib import Path

from experiments.reports.claims import Stored
from experiments.reports.figures import curves, figure_6, figure_6_beyond, figure_9, figure_10

FIGURES = (
    curves.FIGURE_4,
    curves.FIGURE_5,
    figure_6,
    figure_6_beyond,
    curves.FIGURE_7,
    curves.FIGURE_8,
    figure_9,
    figure_10,
    curves.BEYOND_1000,
    curves.APPENDIX_D,
    curves.ILL_CONDITIONED,
)


def draw(results: Path, stored: Stored, paper: bool = True) -> list[Path]:
    """Draws every figure that has runs into ``results/figures`` and returns the files written.

    Args:
        paper: whether the paper's own curves are drawn under ours.

    Raises:
        InputError: a figure cannot be written.
    """
    return [path for figure in FIGURES for path in figure.draw(results, stored, paper)]
