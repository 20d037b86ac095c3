"""Running the suite's optimizers on a task: learned ones unchanged, hand-designed ones at a grid of rates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from experiments.suite.tasks import Task
from l2l_tf import optimizers, seeds
from l2l_tf.optimizers import CoordinatewiseOptimizer, ParameterGroups, everything
from l2l_tf.serialization.trained import load_optimizer
from l2l_tf.unroll import Optimization, rollout, start
from l2l_tf.xla import compiled

HORIZONS = (100, 1000, 2000)
DEFAULT = 1e-3  # Keras's rate for ADAM
COLUMNS = ["learning_rate", "stream", "seed", "horizon", "loss"]

Run = Callable[[float, tf.Tensor], np.ndarray]


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
    """Every run of one optimizer on one task: columns `COLUMNS`, horizons up to `steps`, and `start`.

    A hand-designed optimizer runs at each rate on one validation seed; on the test seeds only the best rate for each
    horizon runs, and the default.
    """
    if isinstance(optimizer, Trained):
        loaded = everything(load_optimizer(trained / optimizer.folder).groups[optimizer.group].optimizer)
        run = program(task, lambda rate: loaded, steps)
        rows = _rows(run, [float("nan")], "test", range(seeds_wanted))
    else:
        run = program(task, optimizer.make, steps)
        tuning = _tuned(run, list(optimizer.rates))
        chosen = sorted({DEFAULT, *best_rates(tuning).values()})
        rows = pd.concat([tuning, _rows(run, chosen, "test", range(seeds_wanted))], ignore_index=True)
    return with_starts(rows, task)


def program(task: Task, make: Callable[[Any], CoordinatewiseOptimizer | ParameterGroups], steps: int) -> Run:
    """Losses [steps + 1] from a rate and a problem's key; compiled once."""

    @tf.function(autograph=False)
    def begin(keys: tf.Tensor) -> Any:  # by XLA θ_0 would be another one
        keys, problem, params, _ = start(task, everything(optimizers.SGD(1.0)), keys)
        return keys, problem, params

    def run(rate: tf.Tensor, keys: tf.Tensor, problem: Any, params: Any) -> tf.Tensor:
        optimizer = everything(make(rate))
        at = Optimization(keys, problem, params, optimizer.init(params))
        return rollout(task, optimizer, at, tf.constant(0), steps, record=False).losses[:, 0]

    run = compiled(run)
    return lambda rate, keys: run(tf.constant(rate, tf.float32), *begin(keys)).numpy()


def with_starts(rows: pd.DataFrame, task: Task) -> pd.DataFrame:
    """The rows with the column `start`: the loss of θ_0 on the very minibatches that `loss` is the mean of."""
    still, keys = program(task, optimizers.SGD, int(rows.horizon.max())), ["stream", "seed", "horizon"]
    seeds_of = rows.groupby("stream").seed.unique()
    starts = pd.concat([_rows(still, [0.0], str(stream), of_stream) for stream, of_stream in seeds_of.items()])
    starts = starts.rename(columns={"loss": "start"}).drop(columns="learning_rate")
    return rows.merge(starts, on=keys, how="left")


def best_rates(rows: pd.DataFrame) -> dict[int, float]:
    """The rate with the lowest mean validation loss at each horizon; a run that diverged counts as infinite."""
    validation = rows[rows.stream == "validation"]
    means = validation.fillna({"loss": np.inf}).groupby(["horizon", "learning_rate"]).loss.mean()
    best = means.groupby("horizon").idxmin()
    return {int(horizon): float(rate) for horizon, rate in best}


def _tuned(run: Run, rates: list[float]) -> pd.DataFrame:
    """The validation runs of these rates, and of half-decades beyond while the best for a horizon is at the edge."""
    rows = _rows(run, rates, "validation", [0])
    while True:
        chosen = best_rates(rows).values()
        tried = sorted(rows.learning_rate.unique())
        more = [tried[0] / 3.1623] * (tried[0] in chosen) + [tried[-1] * 3.1623] * (tried[-1] in chosen)
        more = [rate for rate in more if 1e-5 < rate < 100]
        if not more:
            return rows
        rows = pd.concat([rows, _rows(run, more, "validation", [0])], ignore_index=True)


def _rows(run: Run, rates: Sequence[float], stream: str, indices: Sequence[int]) -> pd.DataFrame:
    rows = []
    for rate in rates:
        for index in indices:
            losses = run(rate, seeds.problem_keys(0, stream, [index]))
            for horizon in [h for h in HORIZONS if h < len(losses)]:
                window = losses[horizon + 1 - horizon // 20 : horizon + 1]
                rows.append((rate, stream, index, horizon, window.mean()))
    return pd.DataFrame(rows, columns=COLUMNS)
