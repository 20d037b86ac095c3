"""Seconds by stage of the commands that reproduce an experiment: a table, and a bar for each experiment."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from experiments.reports.figures import style
from experiments.results.tables import read_table, write_table

KEYS = ("experiment", "stage")
STAGES = ("start", "trace and compile", "training", "tuning", "evaluation", "drawing")


def add_stages(table: Path, experiment: str, seconds: Mapping[str, float]) -> pd.DataFrame:
    """Adds a command's seconds to those that the table has of the experiment, and draws the table anew beside it.

    Args:
        table: a CSV file, experiment, stage, seconds; made if there is none.
    """
    new = pd.DataFrame([(experiment, name, seconds.get(name, 0.0)) for name in STAGES], columns=[*KEYS, "seconds"])
    both = pd.concat([read_table(table, ["seconds"], KEYS), new]) if table.exists() else new
    total = both.groupby([*KEYS], sort=False).seconds.sum().round(1).reset_index()
    write_table(table.with_suffix(""), total)
    draw(total, table)
    return total


def draw(stages: pd.DataFrame, path: Path) -> None:
    """A stacked bar for each experiment, in minutes, in files beside `path`."""
    minutes = stages.pivot_table("seconds", "experiment", "stage", sort=False)[list(STAGES)] / 60
    with style.applied():
        figure = Figure(figsize=(8, 1.5 + 0.5 * len(minutes)), layout="constrained")
        axes = figure.subplots()
        left = 0.0 * minutes["start"]
        for index, name in enumerate(STAGES):
            axes.barh(minutes.index, minutes[name], left=left, color=f"C{index}", label=name)
            left = left + minutes[name]
        axes.set_xlabel("minutes, wall clock")
        axes.invert_yaxis()
        figure.legend(loc="outside upper center", ncols=len(STAGES), frameon=False, fontsize=8)
        style.save(figure, path.parent, path.stem)
