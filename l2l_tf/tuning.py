"""Tuning a baseline's learning rate: a log grid that widens itself until the best rate is not at its edge."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from l2l_tf.checks import at_least, positive
from l2l_tf.errors import InputError
from l2l_tf.evaluation import Evaluator
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
    report: Callable[[str], None] = lambda line: None,
    progress: str | None = None,
) -> pd.DataFrame:
    """Runs each rate 10^(k / per_decade) from `low` to `high`, and beyond while the best one lies at the edge.

    Args:
        make_optimizer: makes the optimizer from its learning rate.
        problems: how many problems of the "validation" stream.
        window: a rate's loss is the mean over the last `window` of `steps` steps; a run that diverged counts as inf.
        report: is told when the grid widens.
        progress: label of a progress bar; None for none.

    Returns:
        One row a rate, in order: learning_rate, loss, chosen (the best rate's row), n (problems).

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
    rate = tf.Variable(1.0, trainable=False)
    evaluator = Evaluator(optimizee, make_optimizer(rate), steps, batch)
    losses: dict[int, float] = {}

    first, last = round(np.log10(low) * per_decade), round(np.log10(high) * per_decade)
    bar = tqdm(total=last - first + 1, desc=progress, unit="rate", disable=progress is None, leave=False)

    def run(k: int) -> None:
        rate.assign(10.0 ** (k / per_decade))
        curves, _ = evaluator.losses(seed, "validation", range(problems))
        final = curves[:, -window:].mean()
        losses[k] = float(final) if np.isfinite(final) else np.inf
        bar.update()

    for k in range(first, last + 1):
        run(k)
    while True:
        best = min(sorted(losses), key=lambda k: losses[k])  # among equals the lowest
        edge = min(losses) - 1 if best == min(losses) else max(losses) + 1 if best == max(losses) else None
        if edge is None:
            break
        at_edge = f"best rate {10 ** (best / per_decade):.2g} (loss {losses[best]:.4g}) is at the grid's edge"
        if not LOWEST <= edge / per_decade <= HIGHEST:
            raise InputError(f"tuning: the {at_edge}, and the grid is as wide as it gets")
        report(f"{at_edge}: trying {10 ** (edge / per_decade):.2g}")
        bar.total = len(losses) + 1
        run(edge)
    bar.close()
    rows = [(10.0 ** (k / per_decade), losses[k], k == best, problems) for k in sorted(losses)]
    return pd.DataFrame(rows, columns=["learning_rate", "loss", "chosen", "n"])
