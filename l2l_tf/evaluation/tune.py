"""Tuning a baseline's learning rate: the best of a log grid, then of neighbours, beyond the grid if need be."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from l2l_tf.checks import at_least, positive
from l2l_tf.errors import InputError
from l2l_tf.evaluation.evaluate import Evaluator
from l2l_tf.optimizees.base import Optimizee
from l2l_tf.optimizers import CoordinatewiseOptimizer, ParameterGroups

LOWEST, HIGHEST = -10, 7  # powers of ten; no baseline's best rate has any business outside


def tune(
    optimizee: Optimizee,
    make_optimizer: Callable[[tf.Variable], CoordinatewiseOptimizer | ParameterGroups],
    problems: int,
    steps: int,
    window: int = 1,
    low: float = 1e-3,
    high: float = 1.0,
    per_decade: int = 4,
    seed: int = 0,
    batch: int = 32,
    finals: int | None = None,
    report: Callable[[str], None] = lambda line: None,
    progress: str | None = None,
) -> pd.DataFrame:
    """Runs each rate 10^(k / per_decade) from `low` to `high`, and beyond while the best one lies at the edge.

    A few problems tell good rates from bad ones, but not whether a rate spoils one run in twenty. So `finals`: the best
    rate and its neighbours, above and below, run on more problems, until the one in the middle is the best.

    Args:
        make_optimizer: makes the optimizer from its learning rate.
        problems: how many problems of the "validation" stream.
        window: a rate's loss is the mean over the last `window` of `steps` steps; a run that diverged counts as inf.
        finals: how many problems decide between neighbours in the end; None for `problems`.
        report: is told when the grid widens.
        progress: label of a progress bar; None for none.

    Returns:
        One row a rate, in order: learning_rate, loss, chosen (the best rate's row), n (problems it was run on).

    Raises:
        InputError: a bad argument, or no best rate inside the widest grid.
    """
    at_least("tuning.problems", problems, 1)
    at_least("tuning.per_decade", per_decade, 1)
    at_least("tuning.window", window, 1)
    if window > steps:
        raise InputError(f"tuning.window={window}: must be at most steps={steps}")
    if positive("tuning.low", low) > positive("tuning.high", high):
        raise InputError(f"tuning.low={low}: must be at most tuning.high={high}")
    finals = at_least("tuning.finals", problems if finals is None else finals, problems)
    rate = tf.Variable(1.0, trainable=False)
    evaluator = Evaluator(optimizee, make_optimizer(rate), steps, batch)
    runs: dict[int, list[float]] = {}  # the final losses of each rate's problems
    first, last = round(np.log10(low) * per_decade), round(np.log10(high) * per_decade)
    bar = tqdm(total=last - first + 1, desc=progress, unit="rate", disable=progress is None, leave=False)

    def loss(k: int) -> float:
        mean = np.mean(runs[k])
        return float(mean) if np.isfinite(mean) else np.inf

    def best(rates: Iterable[int]) -> int:
        return min(sorted(rates), key=loss)  # among equals the lowest

    def run(k: int, count: int) -> None:
        done = runs.setdefault(k, [])
        if len(done) < count:
            bar.total = max(bar.total or 0, bar.n + 1)
            rate.assign(10.0 ** (k / per_decade))
            curves, _ = evaluator.losses(seed, "validation", range(len(done), count))
            done += curves[:, -window:].mean(axis=1).tolist()
            bar.update()

    def widen(middle: int, k: int) -> None:
        at_edge = f"best rate {10 ** (middle / per_decade):.2g} (loss {loss(middle):.4g}) is at the grid's edge"
        if not LOWEST <= k / per_decade <= HIGHEST:
            raise InputError(f"tuning: the {at_edge}, and the grid is as wide as it gets")
        report(f"{at_edge}: trying {10 ** (k / per_decade):.2g}")

    for k in range(first, last + 1):
        run(k, problems)
    middle, found = None, best(runs)
    while found != middle:
        middle = found
        near = (middle - 1, middle, middle + 1)
        for k in near:
            if k not in runs:
                widen(middle, k)
            run(k, finals)
        found = best(near)
    bar.close()
    rows = [(10.0 ** (k / per_decade), loss(k), k == found, len(runs[k])) for k in sorted(runs)]
    return pd.DataFrame(rows, columns=["learning_rate", "loss", "chosen", "n"])
