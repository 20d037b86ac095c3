"""What every coordinate of an appendix-D optimizer runs: an LSTM of which some cells are averaged over coordinates."""

from collections.abc import Sequence
from typing import Protocol

import sonnet as snt
import tensorflow as tf

from l2l_tf import seeds
from l2l_tf.checks import at_least, one_of
from l2l_tf.errors import InputError
from l2l_tf.optimizers.base import State
from l2l_tf.optimizers.lstm import DTYPES, layer_sizes, lstm_layers, output_layer, zero_states
from l2l_tf.optimizers.preprocessing import Preprocessing


class Controller(Protocol):
    """Two functions of n coordinates of each of B problems, which see each other by averages over all n at most."""

    def init(self, problems: int, n: int) -> State:
        """h_0 for B = `problems`."""

    def __call__(self, inputs: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Inputs [features, B, n] and h_t to outputs [outputs, B, n] and h_{t+1}."""


class LSTMController(snt.Module):
    """LSTM+GAC (appendix D): in each layer the first cells' outgoing activations are averaged over all coordinates.

    A global averaging cell keeps a state c for each coordinate; what leaves it, to the next layer and to its own layer
    at the next step, is the mean. Weights are those of `CoordinatewiseLSTM` from the same seed.

    Args:
        inputs, outputs: features of each coordinate.
        layers: hidden units of each layer.
        averaging: how many of each layer's cells are averaged.
        output_deviation: multiplies the output layer's initial weights.
        seed: decides the initial weights.
        dtype: of weights and state.

    Raises:
        InputError: a layer has fewer cells than are to be averaged, or a number is out of range.
    """

    def __init__(
        self,
        inputs: int,
        layers: Sequence[int],
        outputs: int,
        averaging: int,
        output_deviation: float = 1.0,
        seed: int = 0,
        dtype: str = "float32",
    ):
        super().__init__(name="controller")
        sizes = layer_sizes(layers, inputs)
        self.averaging = at_least("averaging", averaging, 0)
        if averaging > min(sizes, default=0):
            raise InputError(f"averaging={averaging}: must be at most the cells of each of layers={layers}")
        self.dtype = tf.as_dtype(one_of("dtype", dtype, DTYPES))
        before = [inputs, *sizes]
        layer_seeds = seeds.weight_seeds(seed, len(before))
        self.layers = lstm_layers(before, layer_seeds, self.dtype)
        output = output_layer(before[-1], outputs, output_deviation, layer_seeds[-1], self.dtype)
        self.w_output, self.b_output = output

    def init(self, problems: int, n: int) -> State:
        """h = c = 0 for each layer: [size, B · n] each."""
        return zero_states(self.layers, problems * n)

    def __call__(self, inputs: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Inputs [features, B, n] and h_t to outputs [outputs, B, n] and h_{t+1}."""
        _, problems, n = inputs.shape
        x, new_state = tf.reshape(inputs, [-1, problems * n]), []
        for layer, (h, c) in zip(self.layers, state, strict=True):
            x, c = layer(x, h, c)
            x = averaged(x, self.averaging, problems)
            new_state.append((x, c))
        return tf.reshape(self.w_output @ x + self.b_output, [-1, problems, n]), tuple(new_state)


def averaged(activations: tf.Tensor, cells: int, problems: int) -> tf.Tensor:
    """Activations [size, B · n], those of the first `cells` replaced by their mean over each problem's coordinates."""
    if not cells:
        return activations
    by_problem = tf.reshape(activations[:cells], [cells, problems, -1])
    means = tf.broadcast_to(tf.reduce_mean(by_problem, axis=2, keepdims=True), by_problem.shape)
    return tf.concat([tf.reshape(means, [cells, -1]), activations[cells:]], axis=0)


def features(preprocessing: Preprocessing, vectors: tf.Tensor) -> tf.Tensor:
    """Preprocessed vectors: [B, n] to [features, B, n]."""
    return tf.reshape(preprocessing(tf.reshape(vectors, [-1])), [preprocessing.features, *vectors.shape])
