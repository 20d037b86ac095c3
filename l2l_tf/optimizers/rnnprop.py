"""RNNprop (Lv, Jiang and Li, "Learning Gradient Descent: Better Generalization and Longer Horizons", ICML 2017)."""

from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf

from l2l_tf import seeds
from l2l_tf.checks import at_least, below_one
from l2l_tf.errors import InputError
from l2l_tf.optimizers.base import CoordinatewiseOptimizer, State
from l2l_tf.optimizers.lstm import lstm_layers, through, zero_states


class RNNprop(snt.Module, CoordinatewiseOptimizer):
    """An LSTM that sees ADAM's direction and proposes bounded steps (section 4 of its paper).

        g_t = scale · tanh(w · LSTM(ELU(P x_t + b_P)) + b),   x_t = (m̂_t, ∇_t) / (√v̂_t + ε)

    with m̂ and v̂ the bias-corrected running means of ∇ and ∇². Not in the paper that this library reproduces.

    Args:
        layers: hidden units of each LSTM layer.
        projection: units of the linear layer P before them.
        decay: of both running means.
        epsilon: ε.
        output_scale: the largest step.
        seed: decides φ's initial value.
        block_size: how many coordinates to update at once.

    Raises:
        InputError: an argument out of its range.
    """

    def __init__(
        self,
        layers: Sequence[int] = (20, 20),
        projection: int = 20,
        decay: float = 0.95,
        epsilon: float = 1e-8,
        output_scale: float = 0.01,
        seed: int = 0,
        block_size: int = 4096,
    ):
        super().__init__(name="rnnprop")
        if isinstance(layers, str) or not isinstance(layers, Sequence) or not layers:
            raise InputError(f"layers={layers}: must be a list of the layers' sizes")
        self.decay = below_one("decay", decay)
        self.epsilon = at_least("epsilon", epsilon, 0.0)
        self.output_scale = at_least("output_scale", output_scale, 0.0)
        self.block_size = at_least("block_size", block_size, 1)
        sizes = [at_least("layers", size, 1) for size in layers]
        inputs = [at_least("projection", projection, 1), *sizes]
        layer_seeds = seeds.weight_seeds(seed, len(inputs) + 1)
        self.w_projection = tf.Variable(_weights([projection, 2], layer_seeds[-1]), name="w_projection")
        self.b_projection = tf.Variable(tf.zeros([projection, 1]), name="b_projection")
        self.layers = lstm_layers(inputs, layer_seeds, tf.float32)
        self.w_output = tf.Variable(_weights([1, sizes[-1]], layer_seeds[-2]), name="w_output")
        self.b_output = tf.Variable(tf.zeros([1, 1]), name="b_output")

    def init(self, coordinates: tf.Tensor) -> State:
        """m = v = 0 [n], t = 0, and h = c = 0 [size, n] for each layer."""
        n = tf.size(coordinates)
        zeros = tf.zeros([n])
        return {"m": zeros, "v": zeros, "t": tf.zeros([]), "layers": zero_states(self.layers, n)}

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Equation 3 for a vector of coordinates."""
        t = state["t"] + 1.0
        m = self.decay * state["m"] + (1.0 - self.decay) * gradients
        v = self.decay * state["v"] + (1.0 - self.decay) * gradients**2
        correction = 1.0 - self.decay**t
        deviation = tf.sqrt(v / correction) + self.epsilon
        features = tf.stack([m / correction / deviation, gradients / deviation])
        x = tf.nn.elu(self.w_projection @ features + self.b_projection)
        x, layers = through(self.layers, x, state["layers"])
        output = self.w_output @ x + self.b_output
        return self.output_scale * tf.tanh(output[0]), {"m": m, "v": v, "t": t, "layers": layers}


def _weights(shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    """Truncated Gaussian of deviation 1/√inputs."""
    return tf.random.stateless_truncated_normal(shape, seed) / shape[1] ** 0.5
