"""Figure 10's statement in numbers: the LSTM's updates are larger than ADAM's and SGD's, and less smooth."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.reports.claims import REPRODUCED, Row
from experiments.reports.intervals import paired_difference
from experiments.results.tables import read_table

LEARNED, OTHERS = "LSTM", ("ADAM", "SGD")
COLUMNS = ["problem", "optimizer", "root_mean_square", "autocorrelation"]


def update_claims(results: Path) -> pd.DataFrame:
    """A row for each measure and each of ADAM and SGD; none where `updates/statistics.csv` is not there.

    Raises:
        InputError: the table is not as it must be.
    """
    path = results / "updates" / "statistics.csv"
    if not path.exists():
        return pd.DataFrame()
    table = read_table(path, COLUMNS[2:], COLUMNS[:2])
    rows = []
    for other in OTHERS:
        if {LEARNED, other} <= set(table["optimizer"]):
            rows += [asdict(larger(table, other)), asdict(less_smooth(table, other))]
    return pd.DataFrame(rows)


def larger(statistics: pd.DataFrame, other: str) -> Row:
    """The LSTM's updates have the larger root mean square."""
    by_problem = statistics.pivot_table(index="problem", columns="optimizer", values="root_mean_square")
    ours, theirs = by_problem[LEARNED].to_numpy(), by_problem[other].to_numpy()
    difference = paired_difference(np.log(ours), np.log(theirs))
    ends = float(difference.mean), float(difference.low), float(difference.high)
    statement = f"The LSTM's updates are larger than those that {other} proposes on its way"
    means, holds = (float(ours.mean()), float(theirs.mean())), bool(difference.low > 0)
    metric = "root mean square of the updates, logarithm of the ratio"
    return Row(f"10-larger-{other}", "10", statement, metric, *means, other, *ends, len(ours), REPRODUCED[holds])


def less_smooth(statistics: pd.DataFrame, other: str) -> Row:
    """The LSTM's successive updates are less alike."""
    by_problem = statistics.pivot_table(index="problem", columns="optimizer", values="autocorrelation")
    ours, theirs = by_problem[LEARNED].to_numpy(), by_problem[other].to_numpy()
    difference = paired_difference(ours, theirs)
    ends = float(difference.mean), float(difference.low), float(difference.high)
    statement = f"The LSTM's updates are less smooth than those that {other} proposes on its way"
    means, holds = (float(ours.mean()), float(theirs.mean())), bool(difference.high < 0)
    metric = "autocorrelation of successive updates"
    return Row(f"10-less-smooth-{other}", "10", statement, metric, *means, other, *ends, len(ours), REPRODUCED[holds])
