"""The learned optimizer (section 2.1): one small LSTM, shared by all coordinates, each with a state of its own."""

from collections.abc import Sequence
from itertools import pairwise

import sonnet as snt
import tensorflow as tf

from l2l_tf import seeds
from l2l_tf.checks import at_least, one_of, positive, shown
from l2l_tf.errors import InputError
from l2l_tf.optimizers.activations import sigmoid, tanh
from l2l_tf.optimizers.base import CoordinatewiseOptimizer, State
from l2l_tf.optimizers.preprocessing import Preprocessing, identity_unless

DTYPES = ("float16", "float32", "float64")
MOST_LAYERS = 20
MOST_WEIGHTS = 2**22  # of one optimizer, whose work each coordinate does: some 1,000 times the paper's 5,000


def layer_sizes(layers: Sequence[int], features: int) -> list[int]:
    """The hidden units of each layer, once they are known to be such, and not so many that they are a mistake.

    Raises:
        InputError: they are.
    """
    if isinstance(layers, str) or not isinstance(layers, Sequence) or len(layers) > MOST_LAYERS:
        raise InputError(f"layers={shown(layers)}: must be a list of at most {MOST_LAYERS} layers' sizes")
    sizes = [at_least("layers", size, 1) for size in layers]
    weights = sum(4 * size * (before + size) for before, size in pairwise([features, *sizes]))
    if weights > MOST_WEIGHTS:
        raise InputError(f"layers={shown(layers)}: makes {weights:.3g} weights, more than {MOST_WEIGHTS:.2g}")
    return sizes


class LSTMLayer(snt.Module):
    """An LSTM layer on features-first arrays [features, n].

    [i, j, f, o] = W [x, h] + b;  c ← σ(f + 1) c + σ(i) tanh(j);  h ← σ(o) tanh(c)

    Features come first so that the gates are contiguous rows: splitting them copies nothing.
    """

    def __init__(self, inputs: int, size: int, seed: tf.Tensor, dtype: tf.DType, name: str):
        super().__init__(name)
        self.size = size
        scale = tf.cast(tf.sqrt(1.0 / (inputs + size)), dtype)  # the released code's (Sonnet 1's) initialization
        weights = scale * tf.random.stateless_truncated_normal([4 * size, inputs + size], seed, dtype=dtype)
        self.w_gates = tf.Variable(weights, name="w_gates")
        self.b_gates = tf.Variable(tf.zeros([4 * size, 1], dtype), name="b_gates")

    def __call__(self, x: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """x [inputs, n], h and c [size, n] to the next h and c."""
        gates = self.w_gates @ tf.concat([x, h], axis=0) + self.b_gates
        i, j, f, o = tf.split(gates, 4, axis=0)
        c = sigmoid(f + 1.0) * c + sigmoid(i) * tanh(j)
        return sigmoid(o) * tanh(c), c


def lstm_layers(inputs: Sequence[int], draws: tf.Tensor, dtype: tf.DType) -> list[LSTMLayer]:
    """Layers one after the other: of inputs[k] features, and inputs[k + 1] cells.

    Args:
        draws: seeds of their weights, int32 [layers or more, 2].
    """
    sizes = enumerate(pairwise(inputs))
    return [LSTMLayer(before, size, draws[k], dtype, name=f"lstm_{k + 1}") for k, (before, size) in sizes]


def output_layer(
    inputs: int, outputs: int, deviation: float, draw: tf.Tensor, dtype: tf.DType
) -> tuple[tf.Variable, tf.Variable]:
    """Weights [outputs, inputs] of `deviation` (`output_deviation`) over √inputs, and biases [outputs, 1] of zero."""
    scale = at_least("output_deviation", deviation, 0.0) / inputs**0.5
    weights = scale * tf.random.stateless_truncated_normal([outputs, inputs], draw, dtype=dtype)
    return tf.Variable(weights, name="w_output"), tf.Variable(tf.zeros([outputs, 1], dtype), name="b_output")


def zero_states(layers: Sequence[LSTMLayer], n: int | tf.Tensor) -> State:
    """h = c = 0 for each layer: [size, n] each."""
    return tuple((tf.zeros([layer.size, n], layer.b_gates.dtype),) * 2 for layer in layers)


def through(layers: Sequence[LSTMLayer], x: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
    """x [features, n] through all layers: the last one's h, and the new state."""
    new_state = []
    for layer, (h, c) in zip(layers, state, strict=True):
        x, c = layer(x, h, c)
        new_state.append((x, c))
    return x, tuple(new_state)


class CoordinatewiseLSTM(snt.Module, CoordinatewiseOptimizer):
    """The paper's learned optimizer m with parameters φ: g_t = scale · (w · LSTM(preprocess(∇_t)) + b).

    Args:
        layers: hidden units of each LSTM layer, (20, 20) in the paper. Without any, m is linear.
        preprocessing: of the gradients; `Identity` for quadratics, `LogAndSign` for neural networks.
        output_scale: of the proposed update.
        output_deviation: multiplies the output layer's initial weights; below 1 the first updates are gentler.
        seed: decides φ's initial value.
        block_size: how many coordinates to update at once. Blocks run in parallel, and large ones cost memory; the
            result does not depend on it.
        dtype: of φ and of the state.
    """

    def __init__(
        self,
        layers: Sequence[int] = (20, 20),
        preprocessing: Preprocessing | None = None,
        output_scale: float = 1.0,
        output_deviation: float = 1.0,
        seed: int = 0,
        block_size: int = 4096,
        dtype: str = "float32",
    ):
        super().__init__(name="lstm_optimizer")
        self.preprocessing = identity_unless(preprocessing)
        self.output_scale = positive("output_scale", output_scale)
        self.block_size = at_least("block_size", block_size, 1)
        self.dtype = tf.as_dtype(one_of("dtype", dtype, DTYPES))
        sizes = layer_sizes(layers, self.preprocessing.features)
        inputs = [self.preprocessing.features, *sizes]
        layer_seeds = seeds.weight_seeds(seed, len(inputs))
        self.layers = lstm_layers(inputs, layer_seeds, self.dtype)
        self.w_output, self.b_output = output_layer(inputs[-1], 1, output_deviation, layer_seeds[-1], self.dtype)

    def init(self, coordinates: tf.Tensor) -> State:
        """h = c = 0 for each layer: [size, n] each."""
        return zero_states(self.layers, tf.size(coordinates))

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Equation 3 for a vector of coordinates."""
        x, state = through(self.layers, self.preprocessing(gradients), state)
        output = self.w_output @ x + self.b_output
        return self.output_scale * output[0], state
