"""The meta-gradient with the second derivatives that the paper drops, step by step backwards.

Unlike in `replay`, ∂∇_t/∂φ is kept: an update changes the gradients that come after it. With the adjoints
λ_t = dL/dθ_t, μ_t = dL/dh_t, and the Hessian H_t of f at θ_t on step t's minibatch, going from t = T back to 0:

    (λ_{t+1}, μ_{t+1}) pulled back through [g_t, h_{t+1}] = m(∇_t, h_t, φ)  gives  dL/dφ's share, v_t = dL/d∇_t, μ_t
    λ_t = λ_{t+1} + w_t ∇f(θ_t) + H_t v_t

The optimizee is differentiated twice, one step at a time, so that nothing of it stays on a tape. No sample of
coordinates will do here, since H_t mixes them all.

Where an optimization is chaotic (bouncing around a minimum, say) the exact λ_t grows by orders of magnitude and tells
nothing of what a finite change of φ would do. Therefore λ_t is kept in two parts, Σ_{s≥t} w_s ∇f(θ_s), which the paper
has too, and Σ_{s≥t} H_s v_s; `limit` bounds the second part's norm, for each problem, by so many times the first's.
"""

from typing import Any

import tensorflow as tf

from l2l_tf import seeds
from l2l_tf.optimizees.base import Optimizee, Parameters, batch_loss_and_gradients
from l2l_tf.optimizers.base import CoordinatewiseOptimizer, State
from l2l_tf.optimizers.groups import ParameterGroups, concatenate, separate, split
from l2l_tf.unroll import Trajectory
from l2l_tf.xla import compiled

ZERO = tf.UnconnectedGradients.ZERO


class Adjoint:
    """Computes dL/dφ, second derivatives included, from a rollout that has recorded its gradients and states.

    Args:
        optimizee: that the rollout optimized, and optimizer: that it was optimized by.
        limit: of the second derivatives' part of λ_t, see above; None is exact, 0 the paper's assumption ∂∇_t/∂φ = 0.
    """

    def __init__(self, optimizee: Optimizee, optimizer: ParameterGroups, limit: float | None = None):
        self.optimizee = optimizee
        self.optimizer = optimizer
        self.limit = limit
        self._pull_back = compiled(pull_back_step)

    def meta_gradient(self, trajectory: Trajectory, first_step: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """dL/dφ, one tensor for each of the optimizer's trainable variables.

        Args:
            trajectory: T steps of B problems, with ∇_0 ... ∇_T and h_0 ... h_{T-1}.
            first_step: number of the first step within the whole optimization; it decides the minibatches.
            weights: w_1 ... w_T, [T].
        """
        keys, problem, params, state = trajectory.end
        weights = tf.concat([tf.zeros([1], weights.dtype), weights / keys.shape[0]], axis=0)  # w_0 = 0

        def body(
            step: tf.Tensor, params: Parameters, first: Parameters, second: Parameters, h: State, total: Any
        ) -> Any:
            gradients, states = tf.nest.map_structure(lambda x: x[step], (trajectory.gradients, trajectory.states))
            theta = {name: first[name] + second[name] for name in first}
            updates, pulled, h, shares = self._pull_back_groups(gradients, states, theta, h)
            params = {name: params[name] - updates[name] for name in params}  # θ_t = θ_{t+1} − g_t
            minibatch = seeds.stateless_seed(keys[:, seeds.MINIBATCH], first_step + step)
            curved = hessian_product(self.optimizee, params, problem, minibatch, pulled)
            first = {name: first[name] + weights[step] * gradients[name] for name in first}
            second = {name: second[name] + curved[name] for name in second}
            if self.limit is not None:
                second = at_most(second, self.limit * norms(first))
            return step - 1, params, first, second, h, tuple(a + b for a, b in zip(total, shares, strict=True))

        first = {name: weights[-1] * gradient[-1] for name, gradient in trajectory.gradients.items()}
        second = {name: tf.zeros_like(part) for name, part in first.items()}
        h, total = tf.nest.map_structure(tf.zeros_like, (state, self.optimizer.trainable_variables))
        loop = (tf.constant(weights.shape[0] - 2), params, first, second, h, total)
        *_, total = tf.while_loop(lambda step, *_: step >= 0, body, loop, parallel_iterations=1)
        return total

    def _pull_back_groups(
        self, gradients: Parameters, state: State, theta: Parameters, h: State
    ) -> tuple[Parameters, Parameters, State, list[tf.Tensor]]:
        """One step of all groups: g_t, v_t, μ_t, and the shares of dL/dφ, from λ_{t+1} (`theta`) and μ_{t+1} (`h`)."""
        updates: Parameters = {}
        pulled: Parameters = {}
        new_h, shares = [], []
        names_of_groups = self.optimizer.assign(list(gradients))
        for group, names, states, hs in zip(self.optimizer.groups, names_of_groups, state, h, strict=True):
            vectors, cotangents = (
                split(concatenate(params, names), group.optimizer.block_size) for params in (gradients, theta)
            )
            step = self._pull_back if group.optimizer.trainable_variables else pull_back_step
            results = [step(group.optimizer, *block) for block in zip(vectors, states, cotangents, hs, strict=True)]
            like = {name: gradients[name] for name in names}
            updates |= separate(tf.concat([result[0] for result in results], axis=0), like)
            pulled |= separate(tf.concat([result[1] for result in results], axis=0), like)
            new_h.append(tuple(result[2] for result in results))
            shares += [tf.add_n(list(parts)) for parts in zip(*(result[3] for result in results), strict=True)]
        return updates, pulled, tuple(new_h), shares


def norms(params: Parameters) -> tf.Tensor:
    """The norm of each problem's parameters together, [B]."""
    squares = [tf.reduce_sum(tf.reshape(value**2, [tf.shape(value)[0], -1]), axis=1) for value in params.values()]
    return tf.sqrt(tf.add_n(squares))


def at_most(params: Parameters, limits: tf.Tensor) -> Parameters:
    """The same, scaled down for each problem whose norm is above its limit [B]."""
    factors = tf.minimum(1.0, tf.math.divide_no_nan(limits, norms(params)))
    return {name: value * tf.reshape(factors, [-1] + [1] * (value.shape.rank - 1)) for name, value in params.items()}


def pull_back_step(
    optimizer: CoordinatewiseOptimizer, gradients: tf.Tensor, state: State, theta: tf.Tensor, h: State
) -> tuple[tf.Tensor, tf.Tensor, State, tuple[tf.Tensor, ...]]:
    """One step of a block of n coordinates: g_t [n], dL/d∇_t [n], dL/dh_t and dL/dφ's share, from λ_{t+1}, μ_{t+1}."""
    variables = optimizer.trainable_variables
    with tf.GradientTape() as tape:
        tape.watch((gradients, state))
        updates, new_state = optimizer.update(gradients, state)
    sources, cotangents = (gradients, state, variables), (theta, h)
    pulled = tape.gradient((updates, new_state), sources, output_gradients=cotangents, unconnected_gradients=ZERO)
    return updates, *pulled


def hessian_product(
    optimizee: Optimizee, params: Parameters, problem: Any, minibatch: tf.Tensor, vector: Parameters
) -> Parameters:
    """∇²f(θ) · vector for B problems, [B, ...] each."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(params)
        _, gradients = batch_loss_and_gradients(optimizee, params, problem, minibatch)
    return tape.gradient(gradients, params, output_gradients=vector, unconnected_gradients=ZERO)
