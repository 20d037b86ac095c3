"""Figure 8: neural art, the training style at 64 pixels and another one at 128.

The paper's losses are in a unit that it does not give; its curves are multiplied so that the best baselines end alike.
"""

from pathlib import Path

from experiments.reports.claims import Stored
from experiments.reports.figures.curves import draw_curves

PANELS = ("figure_8_left", "figure_8_right")
ZOOMED_FROM = 15  # as in the paper, whose curves come into the figure at steps 8 to 20


def draw(results: Path, stored: Stored, paper: bool = True) -> list[Path]:
    """Draws the panels that have runs; returns the files written."""
    return draw_curves(results, "figure_8", PANELS, stored, paper=paper, zoomed_from=ZOOMED_FROM)
