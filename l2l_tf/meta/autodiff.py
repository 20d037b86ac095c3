"""The meta-gradient by plain automatic differentiation through a whole unroll: the other methods' reference."""

import tensorflow as tf

from l2l_tf.meta.base import Differentiated, MetaGradient, Unroll
from l2l_tf.optimizees.base import Optimizee, batch_loss
from l2l_tf.optimizers.groups import ParameterGroups
from l2l_tf.unroll import minibatch_seeds, step


class AutodiffMetaGradient(MetaGradient):
    """One tape over all T steps, in memory that grows with optimizee, optimizer and T.

    Args:
        second_derivatives: whether to keep ∂∇_t/∂φ, which the paper drops.
    """

    def __init__(
        self,
        optimizee: Optimizee,
        optimizer: ParameterGroups,
        inverse_loss: bool = False,
        second_derivatives: bool = False,
    ):
        uncompiled = ParameterGroups(optimizer.groups, compile=False)  # XLA is slow at what a long tape leaves behind
        super().__init__(optimizee, uncompiled, inverse_loss)
        self.second_derivatives = second_derivatives

    def __call__(self, unroll: Unroll) -> Differentiated:
        """The unroll's losses, meta-gradient and end."""
        now, losses, steps = unroll.begin, [], unroll.weights.shape[0]
        with tf.GradientTape() as tape:
            for t in range(steps):
                number, constant = unroll.first_step + t, not self.second_derivatives
                loss, _, _, now = step(self.optimizee, self.optimizer, now, number, constant_gradients=constant)
                losses.append(loss)
            seeds = minibatch_seeds(now, unroll.first_step + steps)
            losses.append(batch_loss(self.optimizee, now.params, now.problem, seeds))
            means = tf.reduce_mean(tf.stack(losses[1:]), axis=1)
            meta_loss = tf.reduce_sum(self.weights(unroll, means) * means)
        zero = tf.UnconnectedGradients.ZERO
        gradient = tape.gradient(meta_loss, self.optimizer.trainable_variables, unconnected_gradients=zero)
        return Differentiated(means, tuple(gradient), now)
