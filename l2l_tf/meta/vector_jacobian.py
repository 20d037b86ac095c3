"""The vector-Jacobian product of one step of an optimizer, which the replay and the adjoint go backwards by."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from l2l_tf.optimizers.base import State

Update = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]


class StepProducts(NamedTuple):
    """g_t, and dL/d∇_t, dL/dh_t (for `differentiable` tensors), dL/dφ's share, from dL/dg_t and dL/dh_{t+1}."""

    updates: tf.Tensor
    gradients: tf.Tensor
    state: list[tf.Tensor]
    variables: tuple[tf.Tensor, ...]


def differentiable(state: Any) -> list[tf.Tensor]:
    """The state's tensors that derivatives go through: not a step count in integers."""
    return [tensor for tensor in tf.nest.flatten(state) if tensor.dtype.is_floating]


def step_products(
    update: Update,
    variables: tuple[tf.Variable, ...],
    gradients: tf.Tensor,
    state: State,
    update_cotangents: tf.Tensor,
    state_cotangents: list[tf.Tensor],
) -> StepProducts:
    """One step of the backward pass through [g_t, h_{t+1}] = m(∇_t, h_t, φ).

    Args:
        update: m; variables: φ.
        gradients, state: ∇_t [n] and h_t.
        update_cotangents, state_cotangents: dL/dg_t [n], and dL/dh_{t+1} of the differentiable tensors.
    """
    sources = (gradients, differentiable(state), variables)
    with tf.GradientTape() as tape:
        tape.watch(sources[:2])
        updates, new_state = update(gradients, state)
    products = tape.gradient(
        (updates, differentiable(new_state)),
        sources,
        output_gradients=(update_cotangents, state_cotangents),
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return StepProducts(updates, *products)
