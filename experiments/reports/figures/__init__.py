"""The paper's figures, drawn from stored runs alone."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from experiments.reports.claims import Stored
from experiments.reports.figures import curves, figure_6, figure_6_beyond, figure_9, figure_10

FIGURES = (  # first what takes longest
    figure_10,
    figure_9,
    curves.FIGURE_4,
    curves.FIGURE_5,
    curves.FIGURE_4_TRAIN,
    curves.FIGURE_5_TRAIN,
    figure_6,
    figure_6_beyond,
    curves.FIGURE_7,
    curves.FIGURE_7_GAUSSIAN,
    curves.FIGURE_8,
    curves.BEYOND_1000,
    curves.APPENDIX_D,
    curves.ILL_CONDITIONED,
)


def drawings(results: Path, stored: Stored, paper: bool = True) -> list[Callable[[], list[Path]]]:
    """For each figure a function that draws it into ``results/figures``, if it has runs, and returns the files written.

    Args:
        paper: whether the paper's own curves are drawn under ours.
    """
    return [partial(figure.draw, results, stored, paper) for figure in FIGURES]
