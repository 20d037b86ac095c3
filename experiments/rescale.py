"""How large a trained optimizer's updates are, tuned on validation problems as the baselines' learning rates are.

Meta-training unrolls an optimization for a hundred steps at a time, and what is best for the next hundred may be too
small for a thousand. What was learned of their direction and course is kept; one factor makes up for it.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from omegaconf import DictConfig

from experiments import store
from experiments.cli import build, build_optimizee, plain
from l2l_tf.checks import one_of
from l2l_tf.optimizers import CoordinatewiseOptimizer, Group, ParameterGroups, State, everything
from l2l_tf.trained import assign_variables, save_optimizer
from l2l_tf.tuning import tune

OUTPUT = ("w_output", "b_output")  # an LSTM's update is linear in these


class Scaled(CoordinatewiseOptimizer):
    """Another optimizer whose updates are `factor` times as large."""

    def __init__(self, optimizer: CoordinatewiseOptimizer, factor: tf.Variable):
        self.optimizer = optimizer
        self.factor = factor
        self.block_size = optimizer.block_size

    def init(self, coordinates: tf.Tensor) -> State:
        """The other one's."""
        return self.optimizer.init(coordinates)

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """The other one's, times the factor."""
        updates, state = self.optimizer.update(gradients, state)
        return self.factor * updates, state


def rescale(config: DictConfig, folder: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Writes φ into the folder, the output of group `rescale.group` times the factor that validates best.

    The factors and their validation losses go into `rescaling.csv`; if that is there, nothing is tuned again.

    Args:
        config: whose `rescale` says which `group`, and `problems`, `low`, `high` and `per_decade` as for `tune`; the
            other numbers are the schedule's.
        weights: φ as it was trained.

    Raises:
        InputError: there is no such group, or no best factor.
    """
    settings = plain(config.rescale)
    optimizer = everything(build(config.optimizer))
    index = int(one_of("rescale.group", str(settings.pop("group")), [str(k) for k in range(len(optimizer.groups))]))
    path = folder / "rescaling.csv"
    if not path.exists():
        assign_variables(optimizer, weights, folder / "checkpoint.safetensors")
        schedule = build(config.schedule)
        table = tune(
            build_optimizee(config.optimizee, "validation"),
            partial(with_factor, optimizer, index),
            steps=schedule.steps,
            window=schedule.validation.window,
            seed=config.seed,
            batch=settings["problems"],
            progress="rescaling",
            **settings,
        )
        store.write_table(folder / "rescaling", table.rename(columns={"learning_rate": "factor"}))
    table = pd.read_csv(path)
    factor = float(table.factor[table.chosen].iloc[0])
    scaled = {f"{index}/{name}" for name in OUTPUT}
    whole = {name: np.float32(factor) * array if name in scaled else array for name, array in weights.items()}
    save_optimizer(folder, plain(config.optimizer), whole)


def with_factor(optimizer: ParameterGroups, index: int, factor: tf.Variable) -> ParameterGroups:
    """The optimizer with the updates of its group number `index` times a factor."""
    groups: list[Any] = list(optimizer.groups)
    groups[index] = Group(Scaled(groups[index].optimizer, factor), groups[index].parameters)
    return ParameterGroups(groups)
