"""The meta-gradient with the second derivatives that the paper drops, step by step backwards.

Unlike in `replay`, ∂∇_t/∂φ is kept: an update changes the gradients that come after it. With the adjoints
λ_t = dL/dθ_t, μ_t = dL/dh_t, and the Hessian H_t of f at θ_t on step t's minibatch, going from t = T back to 0:

    (v_t, μ_t, dL/dφ's share) = vector-Jacobian product of (λ_{t+1}, μ_{t+1}) with [g_t, h_{t+1}] = m(∇_t, h_t, φ)
    λ_t = λ_{t+1} + w_t ∇f(θ_t) + H_t v_t,  where v_t = dL/d∇_t

The optimizee is differentiated twice, one step at a time, so that nothing of it stays on a tape. No sample of
coordinates will do here, since H_t mixes them all.

Where an optimization is chaotic (bouncing around a minimum, say) the exact λ_t grows by orders of magnitude and tells
nothing of what a finite change of φ would do. Therefore λ_t is kept in two parts, Σ_{s≥t} w_s ∇f(θ_s), which the paper
has too, and Σ_{s≥t} H_s v_s; `limit` bounds the second part's norm, for each problem, by so many times the first's.
"""

from functools import partial
from typing import Any

import tensorflow as tf

from l2l_tf.errors import InputError
from l2l_tf.meta.base import Differentiated, MetaGradient, Unroll, state_numbers
from l2l_tf.meta.vector_jacobian import differentiable, step_products
from l2l_tf.optimizees.base import Optimizee, Parameters, batch_loss_and_gradients
from l2l_tf.optimizers.base import State
from l2l_tf.optimizers.groups import ParameterGroups
from l2l_tf.unroll import Optimization, Trajectory, minibatch_seeds
from l2l_tf.xla import compiled

KEPT_STATES = 2**31  # numbers, at most, that a rollout keeps for the adjoint: 8 GiB in float32

Cotangents = tuple[tuple[list[tf.Tensor], ...], ...]  # dL/dh by group, block and differentiable tensor


class AdjointMetaGradient(MetaGradient):
    """dL/dφ, second derivatives included, from a rollout that has recorded its gradients and states.

    Args:
        limit: of the second derivatives' part of λ_t, see above; None is exact, 0 the paper's assumption ∂∇_t/∂φ = 0.
    """

    def __init__(
        self, optimizee: Optimizee, optimizer: ParameterGroups, inverse_loss: bool = False, limit: float | None = None
    ):
        super().__init__(optimizee, optimizer, inverse_loss)
        self.limit = limit
        products = [
            partial(step_products, group.optimizer.update, group.optimizer.trainable_variables)
            for group in optimizer.groups
        ]
        self._products = [
            compiled(product) if group.optimizer.trainable_variables else product
            for group, product in zip(optimizer.groups, products, strict=True)
        ]

    def __call__(self, unroll: Unroll) -> Differentiated:
        """The unroll's losses, meta-gradient and end.

        Raises:
            InputError: the optimizer's states of all steps are too many numbers to be kept.
        """
        self._check_memory(unroll.begin, unroll.weights.shape[0])
        trajectory, losses, weights = self.recorded(unroll, keep_states=True)
        return Differentiated(losses, self.adjoint(trajectory, unroll.first_step, weights), trajectory.end)

    def adjoint(self, trajectory: Trajectory, first_step: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """dL/dφ, one tensor for each of the optimizer's trainable variables.

        Args:
            trajectory: T steps of B problems, with ∇_0 ... ∇_T and h_0 ... h_{T-1}.
            first_step: number of the first step within the whole optimization; it decides the minibatches.
            weights: w_1 ... w_T, [T].
        """
        end = trajectory.end
        weights = tf.concat([tf.zeros([1], weights.dtype), weights / end.keys.shape[0]], axis=0)  # w_0 = 0

        def body(
            t: tf.Tensor, params: Parameters, first: Parameters, second: Parameters, h: Cotangents, total: Any
        ) -> Any:
            gradients, states = tf.nest.map_structure(lambda x: x[t], (trajectory.gradients, trajectory.states))
            theta = {name: first[name] + second[name] for name in first}
            updates, v, h, shares = self._step_products(end.keys.shape[0], gradients, states, theta, h)
            params = {name: params[name] - updates[name] for name in params}  # θ_t = θ_{t+1} − g_t
            curved = hessian_product(self.optimizee, end._replace(params=params), first_step + t, v)
            first = {name: first[name] + weights[t] * gradients[name] for name in first}
            second = {name: second[name] + curved[name] for name in second}
            if self.limit is not None:
                second = at_most(second, self.limit * norms(first))
            return t - 1, params, first, second, h, tuple(a + b for a, b in zip(total, shares, strict=True))

        first = {name: weights[-1] * gradient[-1] for name, gradient in trajectory.gradients.items()}
        second, total = tf.nest.map_structure(tf.zeros_like, (first, self.optimizer.trainable_variables))
        h = tuple(tuple([tf.zeros_like(x) for x in differentiable(block)] for block in group) for group in end.state)
        loop = (tf.constant(weights.shape[0] - 2), end.params, first, second, h, total)
        *_, total = tf.while_loop(lambda t, *_: t >= 0, body, loop, parallel_iterations=1)
        return total

    def _step_products(
        self, problems: int, gradients: Parameters, state: State, theta: Parameters, h: Cotangents
    ) -> tuple[Parameters, Parameters, Cotangents, list[tf.Tensor]]:
        """One step of all groups: g_t, v_t, μ_t, and the shares of dL/dφ, from λ_{t+1} (`theta`) and μ_{t+1} (`h`)."""
        vectors, cotangents = (self.optimizer.vectors(params, problems) for params in (gradients, theta))
        updates, v, new_h, shares = [], [], [], []
        for index, (group, product) in enumerate(zip(self.optimizer.groups, self._products, strict=True)):
            blocks = group.split(vectors[index]), state[index], group.split(cotangents[index]), h[index]
            results = [product(*block) for block in zip(*blocks, strict=True)]
            updates.append(tf.concat([result.updates for result in results], axis=-1))
            v.append(tf.concat([result.gradients for result in results], axis=-1))
            new_h.append(tuple(result.state for result in results))
            shares += [tf.add_n(list(parts)) for parts in zip(*(result.variables for result in results), strict=True)]
        named_updates, named_v = (self.optimizer.named(vectors, gradients, problems) for vectors in (updates, v))
        return named_updates, named_v, tuple(new_h), shares

    @staticmethod
    def _check_memory(begin: Optimization, steps: int) -> None:
        numbers = state_numbers(begin, steps)
        if numbers > KEPT_STATES:
            gib = [4 * count / 2**30 for count in (numbers, KEPT_STATES)]
            raise InputError(
                f"second_derivatives=True: would keep the states of {steps} steps, {gib[0]:.1f} GiB, at most "
                f"{gib[1]:.0f} GiB are allowed: unroll fewer steps, or do without second derivatives"
            )


def norms(params: Parameters) -> tf.Tensor:
    """The norm of each problem's parameters together, [B]."""
    squares = [tf.reduce_sum(tf.reshape(value**2, [tf.shape(value)[0], -1]), axis=1) for value in params.values()]
    return tf.sqrt(tf.add_n(squares))


def at_most(params: Parameters, limits: tf.Tensor) -> Parameters:
    """The same, clipped for each problem to its limit [B] by the norm."""
    factors = tf.minimum(1.0, tf.math.divide_no_nan(limits, norms(params)))
    return {name: value * tf.reshape(factors, [-1] + [1] * (value.shape.rank - 1)) for name, value in params.items()}


def hessian_product(optimizee: Optimizee, now: Optimization, number: tf.Tensor, vector: Parameters) -> Parameters:
    """∇²f(θ) · vector for B problems on step `number`'s minibatches, [B, ...] each."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(now.params)
        _, gradients = batch_loss_and_gradients(optimizee, now.params, now.problem, minibatch_seeds(now, number))
    zero = tf.UnconnectedGradients.ZERO
    return tape.gradient(gradients, now.params, output_gradients=vector, unconnected_gradients=zero)
