"""Which learning rate is best: a rule over losses, whoever computes or has stored them. It needs no TensorFlow."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from l2l_tf.checks import at_least, positive
from l2l_tf.errors import InputError

LOWEST, HIGHEST = -10, 7  # powers of ten; no baseline's best rate has any business outside


def tune(
    run: Callable[[list[float], int], Sequence[float]],
    low: float,
    high: float,
    per_decade: int,
    problems: int,
    finals: int | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Tries the rates 10^(k / per_decade) from `low` to `high`, and beyond while the best one lies at the edge.

    A few problems tell good rates from bad ones, but not whether a rate spoils one run in twenty. So `finals`: the best
    rate and its neighbours, above and below, run on more problems, until the one in the middle is the best. Among
    equals the lowest is the best.

    Args:
        run: the mean final losses of some rates, ascending, over the first so many problems. Called once per round;
            what is not finite, as of a rate that diverged, counts as inf.
        finals: how many problems decide between neighbours in the end; None for `problems`.
        report: is told when the grid widens.

    Returns:
        One row per rate, in order: learning_rate, loss, chosen (the best rate's row), n (problems it was run on).

    Raises:
        InputError: a bad argument, or no best rate inside the widest grid.
    """
    at_least("problems", problems, 1)
    at_least("per_decade", per_decade, 1)
    if positive("low", low) > positive("high", high):
        raise InputError(f"low={low}: must be at most high={high}")
    finals = at_least("finals", problems if finals is None else finals, problems)
    losses: dict[int, float] = {}  # by k
    counts: dict[int, int] = {}

    def rate(k: int) -> float:
        return float(10.0 ** (k / per_decade))

    def best(ks: Iterable[int]) -> int:
        return min(sorted(ks), key=losses.__getitem__)

    def run_round(ks: Iterable[int], count: int) -> None:
        wanted = [k for k in ks if counts.get(k, 0) < count]
        found = run([rate(k) for k in wanted], count) if wanted else []
        losses.update({k: float(loss) if np.isfinite(loss) else np.inf for k, loss in zip(wanted, found, strict=True)})
        counts.update(dict.fromkeys(wanted, count))

    def widen(middle: int, k: int) -> None:
        at_edge = f"best rate {rate(middle):.2g} (loss {losses[middle]:.4g}) is at the grid's edge"
        if not LOWEST <= k / per_decade <= HIGHEST:
            raise InputError(f"tuning: the {at_edge}, and the grid is as wide as it gets")
        report(f"{at_edge}: trying {rate(k):.2g}")

    run_round(range(round(np.log10(low) * per_decade), round(np.log10(high) * per_decade) + 1), problems)
    while not np.isfinite(losses[best(losses)]):  # all diverged: what is lower need not be run on many problems yet
        widen(best(losses), min(losses) - 1)
        run_round([min(losses) - 1], problems)
    middle, found = None, best(losses)
    while found != middle:
        middle = found
        near = (middle - 1, middle, middle + 1)
        for k in near:
            if k not in losses:
                widen(middle, k)
        run_round(near, finals)
        found = best(near)
    rows = [(rate(k), losses[k], k == found, counts[k]) for k in sorted(losses)]
    return pd.DataFrame(rows, columns=["learning_rate", "loss", "chosen", "n"])
