"""One unroll of T steps (section 3): its losses, its meta-gradient, and where it ended."""

from typing import NamedTuple

import tensorflow as tf

from l2l_tf.meta.adjoint import Adjoint
from l2l_tf.meta.replay import Replayer
from l2l_tf.meta.schedule import Schedule, relative
from l2l_tf.optimizees.base import Optimizee
from l2l_tf.optimizers import ParameterGroups
from l2l_tf.unroll import Optimization, compiled_rollout


class Unroll(NamedTuple):
    """What decides one unroll: where it begins, its first step's number, w_t [T], and the seed of its sample."""

    begin: Optimization
    first_step: tf.Tensor
    weights: tf.Tensor
    sample_seed: tf.Tensor


class Unroller:
    """Unrolls an optimizer on an optimizee, and differentiates, as a schedule says; for use within a `tf.function`."""

    def __init__(self, optimizee: Optimizee, optimizer: ParameterGroups, schedule: Schedule):
        self.optimizee = optimizee
        self.optimizer = optimizer
        self.schedule = schedule
        self._replayer = Replayer(optimizer, schedule.replay)
        self._adjoint = Adjoint(optimizee, optimizer, schedule.curvature_limit)
        self._rollout = compiled_rollout(optimizee)

    def forward(self, begin: Optimization, first_step: tf.Tensor, steps: int) -> Optimization:
        """Where an unroll of T = `steps` steps ends."""
        return self._rollout(self.optimizee, self.optimizer, begin, first_step, steps, record=False).end

    def differentiate(self, unroll: Unroll) -> tuple[tf.Tensor, tuple[tf.Tensor, ...], Optimization]:
        """f(θ_1) ... f(θ_T) [T], each the mean over the problems; dL/dφ by variable; and where the unroll ends."""
        second_derivatives = self.schedule.second_derivatives
        begin, first_step, weights, sample_seed = unroll
        steps = weights.shape[0]
        keep = second_derivatives or self._replayer.keeps_states(begin.state, steps)
        trajectory = self._rollout(
            self.optimizee, self.optimizer, begin, first_step, steps, record=True, keep_states=keep
        )
        losses = tf.reduce_mean(trajectory.losses[1:], axis=1)
        weights = relative(weights, losses) if self.schedule.inverse_loss else weights
        if second_derivatives:
            gradient = self._adjoint.meta_gradient(trajectory, first_step, weights)
        else:
            gradients, states = trajectory.gradients, trajectory.states
            gradient = self._replayer.meta_gradient(begin.state, gradients, weights, sample_seed, states)
        return losses, gradient, trajectory.end
