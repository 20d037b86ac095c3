"""What goes on inside a meta-training, measured: its gradients, the updates it makes, and what is saturated.

Everything here is a number with a name, one row of a table; `l2l_tf.diagnostics.rules` says what they mean.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from l2l_tf import seeds, unroll
from l2l_tf.checks import INT64, at_least
from l2l_tf.evaluation.evaluate import Evaluator
from l2l_tf.meta import Schedule
from l2l_tf.meta.base import Unroll
from l2l_tf.meta.methods import scheduled
from l2l_tf.meta.schedule import MOST_STEPS
from l2l_tf.optimizees.base import Optimizee, Parameters
from l2l_tf.optimizees.sonnet_classifier import SonnetClassifier
from l2l_tf.optimizers import (
    CoordinatewiseLSTM,
    LogAndSign,
    OddLSTM,
    Optimizer,
    ParameterGroups,
    everything,
)
from l2l_tf.optimizers.base import State
from l2l_tf.serialization.trained import assign_variables, variable_names
from l2l_tf.unroll import Optimization

SATURATED = 0.1  # a unit is saturated where its slope is below this share of its steepest
SLOPES: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {  # of an activation function by its value, as such a share
    "Sigmoid": lambda value: 4.0 * value * (1.0 - value),
    "Tanh": lambda value: 1.0 - value**2,
    "Relu": lambda value: tf.cast(value > 0.0, value.dtype),
}
GATES = ("input", "candidate", "forget", "output")
PROBED_RATES = 10.0 ** -np.arange(5)
ADAM_EPSILON = 1e-8

COLUMNS = ["measure", "part", "position", "value"]
Row = tuple[str, str, float, float]
Values = dict[tuple[str, str], tf.Tensor]


class Examiner:
    """Measures an optimizer with one φ after the other, always on the same problems.

    Args:
        optimizee: with the training data; validation_optimizee: the same with validation data.
        optimizer: whose variables are set to the φ to examine.
        schedule: of the training.
        seed: decides the problems.
        problems: validation problems for the curve of losses.
        horizon: how many times the trained length that curve goes on.
    """

    def __init__(
        self,
        optimizee: Optimizee,
        validation_optimizee: Optimizee,
        optimizer: Optimizer | ParameterGroups,
        schedule: Schedule,
        seed: int,
        problems: int,
        horizon: int,
    ):
        self.optimizee = optimizee
        self.validation_optimizee = validation_optimizee
        self.optimizer = everything(optimizer)
        self.variables = self.optimizer.trainable_variables
        self.schedule = schedule
        self.seed = at_least("seed", seed, 0, INT64)
        self.problems = at_least("problems", problems, 1)
        steps = at_least("horizon", horizon, 1, MOST_STEPS // schedule.steps) * schedule.steps
        self._evaluator = Evaluator(validation_optimizee, self.optimizer, steps, problems)
        self._weights = schedule.step_weights()
        keys = seeds.problem_keys(seed, "diagnosis", range(schedule.problems))
        self._start = tf.function(lambda: unroll.start(optimizee, self.optimizer, keys), autograph=False)
        self._meta_step = tf.function(scheduled(optimizee, self.optimizer, schedule), autograph=False)
        self._step = tf.function(self._measured_step, autograph=False)

    def examine(self, weights: Mapping[str, np.ndarray]) -> pd.DataFrame:
        """All measures of the optimizer with φ = `weights`.

        Returns:
            Columns measure, part (the tensor, gate or layer it is about), position (a step; for "meta-loss after one
            meta-step" a learning rate) and value.

        Raises:
            InputError: `weights` are not the optimizer's.
        """
        assign_variables(self.optimizer, weights, Path("φ"))
        rows = [*self._losses(), *self._meta_gradients(), *self._along_an_optimization(), *self._meta_steps_downhill()]
        return pd.DataFrame(rows, columns=COLUMNS)

    def losses(self, weights: Mapping[str, np.ndarray]) -> pd.DataFrame:
        """Only the curve of losses, in the same columns."""
        assign_variables(self.optimizer, weights, Path("φ"))
        return pd.DataFrame(self._losses(), columns=COLUMNS)

    def _losses(self) -> Iterator[Row]:
        """The mean loss of the validation problems at every step, and a classifier's loss by guessing."""
        curves, _ = self._evaluator.losses(self.seed, "validation", range(self.problems))
        for step, loss in enumerate(curves.mean(axis=0)):
            yield "loss", "", step, float(loss)
        if isinstance(self.validation_optimizee, SonnetClassifier):
            _, counts = np.unique(self.validation_optimizee.labels, return_counts=True)
            shares = counts / counts.sum()
            yield "chance level", "", 0, float(-np.sum(shares * np.log(shares)))

    # The meta-gradient.

    def _unroll(self, begin: Optimization, step: int) -> tuple[np.ndarray, list[np.ndarray], Optimization]:
        weights = tf.constant(self._weights[step : step + self.schedule.unroll])
        losses, gradient, end = self._meta_step(Unroll(begin, tf.constant(step), weights, tf.constant([step, 0])))
        return losses.numpy(), [part.numpy() for part in gradient], end

    def _meta_gradients(self) -> Iterator[Row]:
        """The meta-gradient of each unroll of one optimization, from start to end."""
        names = [*variable_names(self.optimizer), "all"]
        size = float(tf.linalg.global_norm(self.variables))
        now = self._start()
        before: list[np.ndarray] = []
        for step in range(0, self.schedule.steps, self.schedule.unroll):
            losses, gradient, now = self._unroll(now, step)
            parts = [part.ravel() for part in gradient]
            parts.append(np.concatenate(parts))
            for name, part in zip(names, parts, strict=True):
                yield "meta-gradient norm", name, step, float(np.linalg.norm(part))
            yield "meta-gradient elasticity", "all", step, float(np.linalg.norm(parts[-1]) * size / abs(losses).sum())
            for name, part, last in zip(names, parts, before, strict=False):  # none before the first
                yield "meta-gradient cosine", name, step, cosine(last, part)
            before = parts

    def _meta_steps_downhill(self) -> Iterator[Row]:
        """The first unroll's meta-loss after ADAM's first step along its own gradient, for several learning rates.

        The very same unroll is run again: were the step short enough, the loss would fall.
        """
        begin = self._start()
        origin = [variable.numpy() for variable in self.variables]
        _, gradient, _ = self._unroll(begin, 0)
        for rate in (0.0, *(self.schedule.learning_rate * PROBED_RATES)):
            for variable, value, part in zip(self.variables, origin, gradient, strict=True):
                variable.assign(value - (rate * part / (abs(part) + ADAM_EPSILON)).astype(value.dtype))
            losses, _, _ = self._unroll(begin, 0)
            loss = float(np.dot(self._weights[: self.schedule.unroll], losses))
            yield "meta-loss after one meta-step", "", float(rate), loss
        for variable, value in zip(self.variables, origin, strict=True):
            variable.assign(value)

    # Along one optimization, step by step.

    def _along_an_optimization(self) -> Iterator[Row]:
        now = self._start()
        for step in range(self.schedule.steps):
            values, now = self._step(now, tf.constant(step))
            yield from ((measure, part, step, float(value)) for (measure, part), value in values.items())

    def _measured_step(self, now: Optimization, number: tf.Tensor) -> tuple[Values, Optimization]:
        """One step of equation 3, and what can be seen while it is done."""
        _, gradients, updates, after = unroll.step(self.optimizee, self.optimizer, now, number)
        params = now.params
        first = tf.nest.map_structure(
            lambda tensor: tensor[0], (params, now.problem, unroll.minibatch_seeds(now, number))
        )
        values = {("relative update", name): tf.norm(updates[name]) / tf.norm(params[name]) for name in params}
        values |= self._inside(gradients, now.state, after.state) | saturated_units(self.optimizee, *first)
        return values, after

    def _inside(self, gradients: Parameters, state: State, new_state: State) -> Values:
        """What goes on inside each group's LSTM; nothing for other optimizers."""
        values: Values = {}
        groups = zip(self.optimizer.groups, self.optimizer.vectors(gradients), state, new_state, strict=True)
        for index, (group, vector, *blocks) in enumerate(groups):
            if isinstance(group.optimizer, CoordinatewiseLSTM):
                old, new = (group.join(state) for state in blocks)
                if isinstance(group.optimizer, OddLSTM):  # the other half is the LSTM's for −∇
                    old, new = old[0], new[0]
                values |= input_branches(group.optimizer, vector, f"{index}/")
                values |= saturated_gates(group.optimizer, vector, old, new, f"{index}/")
        return values


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Of the angle between two vectors; NaN where one of them is zero."""
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.dot(a, b)) / norms if norms else float("nan")


def share(condition: tf.Tensor) -> tf.Tensor:
    """Of the entries that are true."""
    return tf.reduce_mean(tf.cast(condition, tf.float32))


def input_branches(optimizer: CoordinatewiseLSTM, gradients: tf.Tensor, prefix: str) -> Values:
    """The share of coordinates in each branch of appendix A; nothing without that preprocessing."""
    preprocessing = optimizer.preprocessing
    if not isinstance(preprocessing, LogAndSign):
        return {}
    logarithm = share(tf.abs(gradients) + preprocessing.smoothing >= np.exp(-preprocessing.p))
    return {
        ("preprocessed inputs", f"{prefix}logarithm and sign"): logarithm,
        ("preprocessed inputs", f"{prefix}linear"): 1.0 - logarithm,
    }


def saturated_gates(
    optimizer: CoordinatewiseLSTM, gradients: tf.Tensor, state: State, new_state: State, prefix: str
) -> Values:
    """The share of coordinates for which a gate is saturated, by layer and gate.

    Args:
        gradients: ∇_t, [n]; state, new_state: h_t and h_{t+1}.
    """
    values: Values = {}
    x = optimizer.preprocessing(gradients)
    for number, (layer, (h, _), (new_h, _)) in enumerate(zip(optimizer.layers, state, new_state, strict=True), 1):
        i, j, f, o = tf.split(layer.w_gates @ tf.concat([x, h], axis=0) + layer.b_gates, 4, axis=0)
        slopes = [SLOPES["Sigmoid"](tf.sigmoid(gate)) for gate in (i, f + 1.0, o)]
        slopes.insert(1, SLOPES["Tanh"](tf.tanh(j)))
        for gate, slope in zip(GATES, slopes, strict=True):
            values["saturated gates", f"{prefix}lstm_{number} {gate}"] = share(slope < SATURATED)
        x = new_h
    return values


def saturated_units(optimizee: Optimizee, params: Parameters, problem: Any, seed: tf.Tensor) -> Values:
    """The share of saturated hidden units, by layer: their mean slope over the minibatch is next to nothing.

    Hidden units are the outputs of the activation functions in the graph of f, so that any module will do. A ReLU
    counts as saturated when it is dead for all but a tenth of the minibatch. To be called in a `tf.function`.
    """
    graph = tf.compat.v1.get_default_graph()
    before = len(graph.get_operations())
    optimizee.loss(params, problem, seed)
    values: Values = {}
    for operation in graph.get_operations()[before:]:
        if operation.type in SLOPES and operation.outputs[0].shape.rank:
            slopes = SLOPES[operation.type](operation.outputs[0])  # [batch, ..., units]
            mean = tf.reduce_mean(slopes, axis=list(range(slopes.shape.rank - 1)))
            values["saturated hidden units", f"layer {len(values) + 1} ({operation.type})"] = share(mean < SATURATED)
    return values
