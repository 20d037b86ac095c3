"""A learned optimizer that treats both directions of a coordinate alike."""

import tensorflow as tf

from l2l_tf.optimizers.base import State
from l2l_tf.optimizers.lstm import CoordinatewiseLSTM


class OddLSTM(CoordinatewiseLSTM):
    """g(−∇_1, ..., −∇_t) = −g(∇_1, ..., ∇_t): half the difference of what the LSTM m makes of ∇ and of −∇.

    Not in the paper. A plain LSTM moves a coordinate a little even where the gradient is zero, or zero on average,
    always the same way. The meta-gradient of such a move is the gradient itself, next to nothing, so that meta-training
    does not see it, but over 1,000 steps these moves add up and spoil what was learned. Here they cancel out.

    The state holds that of m for ∇ and that for −∇; φ and the arguments are those of `CoordinatewiseLSTM`.
    """

    def init(self, coordinates: tf.Tensor) -> State:
        """h_0 twice."""
        return super().init(coordinates), super().init(coordinates)

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Equation 3 for a vector of coordinates."""
        forward, ahead = super().update(gradients, state[0])
        backward, behind = super().update(-gradients, state[1])
        return 0.5 * (forward - backward), (ahead, behind)
