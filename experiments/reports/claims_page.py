"""The claims at a glance: five columns, one row per statement. `claims.csv` has all of every row."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from experiments.reports.tables import markdown

INTRODUCTION = """\
Ours: the learned optimizer's loss / that of what it is held against, which is named in the third column, with its 95%
interval; below 1 it is better. The paper's: the same of the last points of its curves, where it draws them.
`claims.csv` has the losses, differences, measures and numbers of problems.

"""


def at_a_glance(claims: pd.DataFrame, leads: pd.DataFrame, losses: pd.DataFrame) -> str:
    """Markdown: statement, ours, held against, the paper's, verdict.

    Args:
        claims: as of `claims_table`; leads: as of `paper_leads`; losses: as of `paper_table`.
    """
    paper = {name: lead for panel, lead in zip(leads.panel, leads.paper_lead, strict=True) for name in _names(panel)}
    paper |= _subs(losses)
    rows = [
        {
            "statement": row["statement"],
            "ours": _ratio(row),
            "held against": row["best_baseline_name"],
            "the paper's": f"{paper[row['claim']]:.2f}" if row["claim"] in paper else "",
            "verdict": row["verdict"],
        }
        for row in claims.to_dict("records")
    ]
    return INTRODUCTION + markdown(pd.DataFrame(rows))


def _names(panel: str) -> tuple[str, str]:
    """The claims of a panel that are about its final loss."""
    return panel, f"{panel}-final"


def _subs(losses: pd.DataFrame) -> dict[str, float]:
    """LSTM-sub's loss in the paper / its LSTM's, by the claim that is about it."""
    by_optimizer = losses.pivot_table("paper_loss", "panel", "optimizer")
    if "LSTM-sub" not in by_optimizer:
        return {}
    ratios = (by_optimizer["LSTM-sub"] / by_optimizer["LSTM"]).dropna()
    return {f"{panel}-sub": float(ratio) for panel, ratio in ratios.items()}


def _ratio(row: Mapping[Any, Any]) -> str:
    """`0.73 (0.71 to 0.75)`; of logarithms their exponentials; a difference where a ratio makes no sense."""
    ends = np.array([row["difference"], row["ci_low"], row["ci_high"]], dtype=np.float64)
    if "log" in str(row["metric"]):
        ends = np.exp(ends)
    elif row["best_baseline"] > 0 and row["learned"] > 0:
        ends = 1 + ends / row["best_baseline"]
    else:
        return f"{ends[0]:+.2g} ({ends[1]:+.2g} to {ends[2]:+.2g})"
    return f"{ends[0]:.2f} ({ends[1]:.2f} to {ends[2]:.2f})"
