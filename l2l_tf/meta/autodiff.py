"""The meta-gradient by plain automatic differentiation through the whole unroll.

It is the way to keep the second derivatives ∂∇_t/∂φ, and without them the reference that the replay is tested against.
"""

import tensorflow as tf

from l2l_tf import seeds
from l2l_tf.meta.schedule import relative
from l2l_tf.optimizees.base import Optimizee, batch_loss, batch_loss_and_gradients
from l2l_tf.optimizers.groups import ParameterGroups
from l2l_tf.unroll import Optimization, Trajectory


def meta_gradient(
    optimizee: Optimizee,
    optimizer: ParameterGroups,
    begin: Optimization,
    first_step: tf.Tensor,
    weights: tf.Tensor,
    second_derivatives: bool,
    inverse_loss: bool = False,
) -> tuple[Trajectory, tuple[tf.Tensor, ...]]:
    """dL/dφ over T = len(weights) steps from `begin`, and the trajectory, without its gradients."""
    keys, problem, params, state = begin
    optimizer = ParameterGroups(optimizer.groups, compile=False)  # XLA is slow at what a long tape leaves behind
    steps = weights.shape[0]
    losses = []
    with tf.GradientTape() as tape:
        for t in range(steps):
            minibatch = seeds.stateless_seed(keys[:, seeds.MINIBATCH], first_step + t)
            loss, gradients = batch_loss_and_gradients(optimizee, params, problem, minibatch)
            if not second_derivatives:
                gradients = tf.nest.map_structure(tf.stop_gradient, gradients)
            updates, state = optimizer.update(gradients, state)
            params = {name: params[name] + updates[name] for name in params}
            losses.append(loss)
        minibatch = seeds.stateless_seed(keys[:, seeds.MINIBATCH], first_step + steps)
        losses.append(batch_loss(optimizee, params, problem, minibatch))
        means = tf.reduce_mean(tf.stack(losses[1:]), axis=1)
        weights = relative(weights, means) if inverse_loss else weights
        meta_loss = tf.reduce_sum(weights * means)
    zero = tf.UnconnectedGradients.ZERO
    gradient = tape.gradient(meta_loss, optimizer.trainable_variables, unconnected_gradients=zero)
    return Trajectory(tf.stack(losses), {}, Optimization(keys, problem, params, state)), tuple(gradient)
