"""Tuning a hand-designed optimizer's learning rate on an optimizee: whole rounds of rates at once."""

from collections.abc import Callable, Sequence
from itertools import groupby

import pandas as pd
from tqdm import tqdm

from l2l_tf.checks import at_least
from l2l_tf.errors import InputError
from l2l_tf.evaluation import tuning_rule
from l2l_tf.evaluation.bulk import MakeOptimizer, rate_curves
from l2l_tf.optimizees.base import Optimizee


def tune(
    optimizee: Optimizee,
    make_optimizer: MakeOptimizer,
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
    """`tuning_rule.tune` on problems of the "validation" stream.

    Args:
        make_optimizer, batch: see `rate_curves`.
        window: a rate's loss is the mean over the last `window` of `steps` steps; a run that diverged counts as inf.
        low, high, per_decade, problems, finals, report: see `tuning_rule.tune`.
        progress: label of a progress bar; None for none.

    Returns:
        One row per rate, in order: learning_rate, loss, chosen (the best rate's row), n (problems it was run on).

    Raises:
        InputError: a bad argument, or no best rate inside the widest grid.
    """
    at_least("window", window, 1)
    if window > steps:
        raise InputError(f"window={window}: must be at most steps={steps}")
    finals_of: dict[float, list[float]] = {}  # the final losses of each rate's first problems
    bar = tqdm(desc=progress, unit="rate", disable=progress is None, leave=False)

    def run(rates: list[float], count: int) -> Sequence[float]:
        def done(rate: float) -> int:
            return len(finals_of.setdefault(rate, []))

        for first, group in groupby(sorted(rates, key=done), done):
            alike = list(group)
            curves = rate_curves(
                optimizee, make_optimizer, alike, seed, "validation", range(first, count), steps, batch
            )
            for rate, losses in zip(alike, curves[:, :, -window:].mean(axis=2), strict=True):
                finals_of[rate] += losses.tolist()
            bar.update(len(alike))
        return [sum(finals_of[rate]) / count for rate in rates]

    with bar:
        return tuning_rule.tune(run, low, high, per_decade, problems, finals, report)
