"""Running the suite's optimizers on a task: learned ones unchanged, hand-designed ones at a grid of rates.

What is measured is f over all of a task's examples, at θ_0 and at each horizon. A mean over the last minibatches, as
the paper's curves are, would be of 160 examples at step 100, which may happen to be hard ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from experiments.suite.tasks import Task
from l2l_tf import optimizers, seeds
from l2l_tf.optimizers import CoordinatewiseOptimizer, everything
from l2l_tf.optimizers.base import Optimizer
from l2l_tf.serialization.trained import load_optimizer
from l2l_tf.unroll import Optimization, rollout, start
from l2l_tf.xla import compiled

HORIZONS = (100, 1000, 2000)
TUNED_ON = 3  # validation problems: the loss at one step is noisier than a mean over steps
AT_ONCE = 100  # steps, of which all horizons are multiples
DEFAULT = 1e-3  # Keras's rate for ADAM
LOSSES = ["start", "end"]
COLUMNS = ["learning_rate", "stream", "seed", "horizon", *LOSSES]

Run = Callable[[float, tf.Tensor], dict[int, float]]


@dataclass(frozen=True)
class Grid:
    """A hand-designed optimizer and the rates that it is tuned over; the grid grows where the best is at its edge."""

    make: Callable[[Any], CoordinatewiseOptimizer]
    rates: Sequence[float]


@dataclass(frozen=True)
class Trained:
    """A trained optimizer's folder, and which of its groups all parameters get."""

    folder: str
    group: int = 0


OPTIMIZERS: dict[str, Grid | Trained] = {
    "general": Trained("general"),
    "Adam": Grid(optimizers.Adam, (1e-3, 3e-3, 1e-2)),
    "NAG": Grid(optimizers.NAG, (1e-2, 3e-2, 1e-1)),
    "AdamW": Grid(optimizers.AdamW, (1e-3, 3e-3, 1e-2)),
    "RMSprop": Grid(optimizers.RMSprop, (1e-3, 3e-3, 1e-2)),
    "RNNprop": Trained("rnnprop"),
    "mnist": Trained("mnist"),
    "cifar10": Trained("cifar10", 1),
}


def measure(task: Task, optimizer: Grid | Trained, trained: Path, seeds_wanted: int, steps: int) -> pd.DataFrame:
    """Every run of one optimizer on one task, for horizons up to `steps`: columns `COLUMNS`.

    A hand-designed optimizer runs at each rate on `TUNED_ON` validation seeds; on the test seeds only the best rate
    for each horizon runs, and the default.
    """
    if isinstance(optimizer, Trained):
        loaded = load_optimizer(trained / optimizer.folder).groups[optimizer.group].optimizer
        return _rows(program(task, lambda rate: loaded, steps), [float("nan")], "test", range(seeds_wanted))
    run = program(task, optimizer.make, steps)
    tuning = _tuned(run, list(optimizer.rates))
    chosen = sorted({DEFAULT, *best_rates(tuning).values()})
    return pd.concat([tuning, _rows(run, chosen, "test", range(seeds_wanted))], ignore_index=True)


def program(task: Task, make: Callable[[Any], Optimizer], steps: int) -> Run:
    """From a rate and a problem's key to f at step 0 and at each horizon up to `steps`; compiled once."""

    @tf.function(autograph=False)
    def begin(rate: tf.Tensor, keys: tf.Tensor) -> Optimization:  # by XLA θ_0 would be another one
        return start(task, everything(make(rate)), keys)

    def on_from(rate: tf.Tensor, at: Optimization, first: tf.Tensor) -> Optimization:
        return rollout(task, everything(make(rate)), at, first, AT_ONCE, record=False).end

    def of_all(at: Optimization) -> tf.Tensor:
        return task.loss_of_all({name: tensor[0] for name, tensor in at.params.items()})

    on_from, of_all = compiled(on_from), compiled(of_all)
    horizons = [horizon for horizon in HORIZONS if horizon <= steps]

    def run(rate: float, keys: tf.Tensor) -> dict[int, float]:
        of = tf.constant(rate, tf.float32)
        at = begin(of, keys)
        losses = {0: float(of_all(at))}
        for step in range(0, horizons[-1], AT_ONCE):
            at = on_from(of, at, tf.constant(step))
            if step + AT_ONCE in horizons:
                losses[step + AT_ONCE] = float(of_all(at))
        return losses

    return run


def best_rates(rows: pd.DataFrame) -> dict[int, float]:
    """The rate with the lowest mean validation loss at each horizon; a run that diverged counts as infinite."""
    validation = rows[rows.stream == "validation"]
    means = validation.fillna({"end": np.inf}).groupby(["horizon", "learning_rate"]).end.mean()
    best = means.groupby("horizon").idxmin()
    return {int(horizon): float(rate) for horizon, rate in best}


def _tuned(run: Run, rates: list[float]) -> pd.DataFrame:
    """The validation runs of these rates, and of half-decades beyond while the best for a horizon is at the edge."""
    rows = _rows(run, rates, "validation", range(TUNED_ON))
    while True:
        chosen = best_rates(rows).values()
        tried = sorted(rows.learning_rate.unique())
        more = [tried[0] / 3.1623] * (tried[0] in chosen) + [tried[-1] * 3.1623] * (tried[-1] in chosen)
        more = [rate for rate in more if 1e-5 < rate < 100]
        if not more:
            return rows
        rows = pd.concat([rows, _rows(run, more, "validation", range(TUNED_ON))], ignore_index=True)


def _rows(run: Run, rates: Sequence[float], stream: str, indices: Sequence[int]) -> pd.DataFrame:
    rows = []
    for rate in rates:
        for index in indices:
            losses = run(rate, seeds.problem_keys(0, stream, [index]))
            first = losses.pop(0)
            rows += [(rate, stream, index, horizon, first, end) for horizon, end in losses.items()]
    return pd.DataFrame(rows, columns=COLUMNS)
