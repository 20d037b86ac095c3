"""How far a meta-gradient can be trusted: `python -m experiments.studies.derivatives experiment=cifar10`.

Along optimizations by a panel's learned optimizer: the derivative of the log of the next unroll's mean loss by the log
of how large the updates of a group of parameters are. By finite differences, which assume nothing, and by the adjoint
under several limits of its second derivatives' part, of which 0 is the paper's assumption and infinity exact.
"""

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from omegaconf import DictConfig
from tqdm import tqdm

from experiments.composition.build import build, plain
from experiments.composition.cli import command
from experiments.composition.panel import Panel, compose_panels
from experiments.results.making import maker
from experiments.results.record import write_record
from experiments.results.tables import write_table
from l2l_tf import seeds
from l2l_tf.meta import Schedule
from l2l_tf.meta.adjoint import AdjointMetaGradient
from l2l_tf.meta.base import Unroll
from l2l_tf.meta.schedule import SMALL
from l2l_tf.optimizees import Optimizee
from l2l_tf.optimizers import CoordinatewiseLSTM, ParameterGroups
from l2l_tf.unroll import Optimization, advance, rollout, start

LIMITS = (0.0, 0.3, 1.0, 3.0, np.inf)
FACTOR = 1.3  # of the finite differences
PROBLEMS = 4
AT = (0, 60, 200, 500, 900)  # steps


class Derivatives:
    """One optimizer on one optimizee, T steps at a time."""

    def __init__(self, optimizee: Optimizee, optimizer: ParameterGroups, steps: int):
        self.optimizee = optimizee
        self.optimizer = optimizer
        self.steps = steps
        self.methods = {
            limit: AdjointMetaGradient(
                optimizee, optimizer, inverse_loss=True, limit=None if np.isinf(limit) else limit
            )
            for limit in LIMITS
        }
        self.advance = tf.function(partial(advance, optimizee, optimizer), autograph=False)
        self.mean_loss = tf.function(self._mean_loss, autograph=False)
        self.meta_gradients = tf.function(self._meta_gradients, autograph=False)

    def _mean_loss(self, begin: Optimization, step: tf.Tensor) -> tf.Tensor:
        losses = rollout(self.optimizee, self.optimizer, begin, step, self.steps, record=False).losses
        return tf.reduce_mean(losses[1:])

    def _meta_gradients(self, begin: Optimization, step: tf.Tensor) -> dict[float, tuple[tf.Tensor, ...]]:
        """Of the log of the mean loss, by limit."""
        unroll = Unroll(begin, step, tf.fill([self.steps], 1.0 / self.steps), tf.constant([0, 0]))
        return {limit: method(unroll).gradient for limit, method in self.methods.items()}

    def rows(self, begin: Optimization, step: int) -> list[dict[str, Any]]:
        """A row for each group and way: `limit` (missing: finite differences), derivative, the meta-gradient's norm."""
        first = tf.constant(step)
        meta_gradients = self.meta_gradients(begin, first)
        rows = []
        for index, group in enumerate(self.optimizer.groups):
            assert isinstance(group.optimizer, CoordinatewiseLSTM)
            outputs = (group.optimizer.w_output, group.optimizer.b_output)  # an LSTM's updates are linear in these
            values = [output.numpy() for output in outputs]
            log_losses = []
            for factor in (FACTOR, 1 / FACTOR):
                for output, value in zip(outputs, values, strict=True):
                    output.assign(value * np.float32(factor))
                log_losses.append(np.log(self.mean_loss(begin, first).numpy() + SMALL))
            for output, value in zip(outputs, values, strict=True):
                output.assign(value)
            found = {np.nan: ((log_losses[0] - log_losses[1]) / (2 * np.log(FACTOR)), np.nan)}
            for limit, gradient in meta_gradients.items():
                parts = zip(self.optimizer.trainable_variables, gradient, strict=True)
                along = sum(float(tf.reduce_sum(v * g)) for v, g in parts if any(v is output for output in outputs))
                found[limit] = along, float(tf.linalg.global_norm(gradient))
            rows += [
                {"step": step, "group": index, "limit": limit, "derivative": derivative, "norm": norm}
                for limit, (derivative, norm) in found.items()
            ]
        return rows


def study(config: DictConfig, panel: Panel) -> pd.DataFrame:
    """One row per problem, step, group and way; the first of the panel's learned optimizers, on validation problems."""
    schedule = build(config.schedule)
    assert isinstance(schedule, Schedule)
    source = next(iter(panel.learned.values()))
    runs = maker(config)
    _, variation = next(panel.variations())
    if "data" in variation:
        variation["data"]["split"] = "validation"
    optimizee, optimizer = runs.optimizee(variation), runs.load(source)
    derivatives = Derivatives(optimizee, optimizer, schedule.unroll)
    rows, steps = [], [step for step in AT if step < panel.steps]
    with tqdm(total=PROBLEMS * len(steps), desc=panel.name) as bar:
        for problem in range(PROBLEMS):
            optimization = start(optimizee, optimizer, seeds.problem_keys(config.seed, "validation", [problem]))
            reached = 0
            for step in steps:
                if step > reached:
                    optimization = derivatives.advance(optimization, tf.constant(reached), step - reached)
                    reached = step
                rows += [{"problem": problem} | row for row in derivatives.rows(optimization, step)]
                bar.update()
    return pd.DataFrame(rows)


@command("evaluate")
def main(config: DictConfig) -> None:
    """Stores the study of each chosen panel in `results/derivatives/`, one file per panel."""
    for panel in compose_panels(config):
        began = time.monotonic()
        frame = study(config, panel)
        path = Path(config.results) / "derivatives" / panel.name
        write_table(path, frame)
        write_record(path, plain(config), time.monotonic() - began)
        print(frame.pivot_table(index=["step", "group"], columns="limit", values="derivative", dropna=False))


if __name__ == "__main__":
    main()
