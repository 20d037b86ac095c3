"""The meta-gradient of one unroll of T steps (section 3): what every method of computing it is given, and gives."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import tensorflow as tf

from l2l_tf.meta.schedule import relative
from l2l_tf.optimizees.base import Optimizee
from l2l_tf.optimizers import ParameterGroups
from l2l_tf.unroll import Optimization, Trajectory, compiled_rollout


class Unroll(NamedTuple):
    """What decides one unroll: where it begins, its first step's number, w_t [T], and the seed of its sample."""

    begin: Optimization
    first_step: tf.Tensor
    weights: tf.Tensor
    sample_seed: tf.Tensor


class Differentiated(NamedTuple):
    """f(θ_1) ... f(θ_T) [T], each the mean over the problems; dL/dφ by variable; and where the unroll ends."""

    losses: tf.Tensor
    gradient: tuple[tf.Tensor, ...]
    end: Optimization


class MetaGradient(ABC):
    """Runs an unroll and differentiates its meta-loss L(φ) = Σ_t w_t f(θ_t); for use within a `tf.function`.

    Args:
        optimizee: f.
        optimizer: m, whose trainable variables are φ.
        inverse_loss: whether w_t counts relative to the unroll's mean loss, see `l2l_tf.meta.schedule.relative`.
    """

    def __init__(self, optimizee: Optimizee, optimizer: ParameterGroups, inverse_loss: bool = False):
        self.optimizee = optimizee
        self.optimizer = optimizer
        self.inverse_loss = inverse_loss
        self._rollout = compiled_rollout(optimizee)

    @abstractmethod
    def __call__(self, unroll: Unroll) -> Differentiated:
        """The unroll's losses, meta-gradient and end."""

    def recorded(self, unroll: Unroll, keep_states: bool) -> tuple[Trajectory, tf.Tensor, tf.Tensor]:
        """The trajectory with its gradients, the mean losses f(θ_1) ... f(θ_T) [T], and w_t [T]."""
        steps = unroll.weights.shape[0]
        trajectory = self._rollout(
            self.optimizee, self.optimizer, unroll.begin, unroll.first_step, steps, record=True, keep_states=keep_states
        )
        losses = tf.reduce_mean(trajectory.losses[1:], axis=1)
        return trajectory, losses, self.weights(unroll, losses)

    def weights(self, unroll: Unroll, losses: tf.Tensor) -> tf.Tensor:
        """w_t [T], given the mean losses [T]."""
        return relative(unroll.weights, losses) if self.inverse_loss else unroll.weights


def state_numbers(begin: Optimization, steps: int) -> int:
    """How many numbers h_0 ... h_{T-1} hold, all problems together, for T = `steps`."""
    return steps * sum(tensor.shape.num_elements() for tensor in tf.nest.flatten(begin.state))
