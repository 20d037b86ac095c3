"""The training distribution of a general optimizer: small networks of many kinds, each problem another one.

All kinds share one parameter vector θ, which a problem's network cuts its tensors from; a tensor is

    W = W_0 + s (θ − θ_0),   θ_0 = 0

with initial value W_0 and scale s drawn for the problem, so that the optimizer sees tensors of all scales (the random
reparametrization of Metz et al. 2022). What varies inside a kind (activation, depth, width, batch size, data) is drawn
too, and selected or masked: one graph does for all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import tensorflow as tf

from l2l_tf.checks import at_least, one_of
from l2l_tf.data import Images
from l2l_tf.data.small_images import PIXELS
from l2l_tf.optimizees.base import Optimizee, Parameters
from l2l_tf.optimizers.activations import tanh

Tensors = Sequence[tf.Tensor]
Problem = dict[str, tf.Tensor]

# Activations a + b tanh(c x) + x (d + e tanh(c x)) + f |x|: one formula, so that one graph does for all.
ACTIVATIONS = {
    "relu": (0.0, 0.0, 1.0, 0.5, 0.0, 0.5),
    "leaky relu": (0.0, 0.0, 1.0, 0.6, 0.0, 0.4),
    "tanh": (0.0, 1.0, 1.0, 0.0, 0.0, 0.0),
    "sigmoid": (0.5, 0.5, 0.5, 0.0, 0.0, 0.0),
    "silu": (0.0, 0.0, 0.5, 0.5, 0.5, 0.0),
    "gelu": (0.0, 0.0, 0.851, 0.5, 0.5, 0.0),  # x σ(1.702 x), which is close to it
}
CLASSES = 10
BATCH = 64
TABLE, TEACHER = 16, 8  # columns of a synthetic table, hidden units of what makes its targets
VOCABULARY, LENGTH, EMBEDDING = 16, 10, 24  # of synthetic sequences


@dataclass(frozen=True)
class Kind:
    """A kind of network: its tensors' shapes (output last; a vector is a bias, or a scale around 1), and its loss."""

    shapes: Sequence[Sequence[int]]
    loss: Callable[[Tensors, Problem, "RandomNetworks", tf.Tensor], tf.Tensor]
    ones: Sequence[int] = ()  # the vectors that begin at 1

    @property
    def sizes(self) -> list[int]:
        """Coordinates of each tensor."""
        return [tf.TensorShape(shape).num_elements() for shape in self.shapes]


class RandomNetworks(Optimizee):
    """A small network of a random kind on random data: MLPs on images and tables, conv nets, attention, recurrence.

    Args:
        data: MNIST's and CIFAR-10's images, as `load_small_images` gives them.
        kinds: names from `KINDS`, each as often as it is named.
        compile: see `Optimizee`.

    Raises:
        InputError: an unknown kind.
    """

    vectorize = False

    def __init__(self, data: Sequence[Images], kinds: Sequence[str] = (), compile: bool = False):
        names = list(kinds) or list(KINDS)
        self.kinds = [KINDS[one_of("kinds", name, KINDS)] for name in dict.fromkeys(names)]
        self.draw = tf.constant([list(dict.fromkeys(names)).index(name) for name in names])
        self.compile = compile
        self.images = tf.concat([tf.constant(part.images[:, 0, 0]) for part in data], axis=0)
        self.labels = tf.concat([tf.constant(part.labels) for part in data], axis=0)
        self.first = tf.constant([0, len(data[0].labels)])
        self.counts = tf.constant([len(part.labels) for part in data])
        self.size = at_least("optimizee: coordinates", max(sum(kind.sizes) for kind in self.kinds), 1)

    def init(self, seed: tf.Tensor) -> Parameters:
        """θ_0 = 0 [size]."""
        del seed
        return {"theta": tf.zeros([self.size])}

    def problem(self, seed: tf.Tensor) -> Any:
        """Kind, W_0 and s [size], and everything else that is drawn, as scalars."""
        uniform = tf.unstack(tf.random.stateless_uniform([16], seed, alg="philox"))
        kind = self.draw[tf.cast(uniform[0] * self.draw.shape[0], tf.int32)]
        drawn = [self._tensors(kind, uniform[1:5], seed + tf.constant([0, 1 + k])) for k, kind in enumerate(self.kinds)]
        source = tf.cast(uniform[5] * 2, tf.int32)
        available = self.counts[source]
        count = tf.cast(_log_uniform(uniform[6], 64.0, tf.cast(available, tf.float32)), tf.int32)
        begin = tf.cast(uniform[7] * tf.cast(available - count, tf.float32), tf.int32)
        return {
            "kind": kind,
            "initial": tf.stack([initial for initial, _ in drawn])[kind],
            "scale": tf.stack([scale for _, scale in drawn])[kind],
            "source": source,
            "first": self.first[source] + begin,
            "count": count,
            "activation": tf.cast(uniform[8] * len(ACTIVATIONS), tf.int32),
            "depth": tf.cast(uniform[9] * 4, tf.int32),
            "width": _log_uniform(uniform[10], 0.2, 1.0),
            "batch": _log_uniform(uniform[11], 8.0, BATCH),
            "gain": _log_uniform(uniform[12], 0.5, 3.0),
            "shift": tf.where(uniform[13] < 0.5, 0.0, 0.4),
            "normalize": tf.cast(uniform[14] < 0.5, tf.float32),
            "task": tf.cast(uniform[15] * 3, tf.int32),
            "seed": seed,
        }

    def _tensors(self, kind: Kind, uniform: Tensors, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """W_0 and s of one kind's network, [size] each: Gaussian by fan-in or of one small deviation; scales near 1."""
        small = _log_uniform(uniform[1], 0.01, 0.1)
        gain = _log_uniform(uniform[1], 0.5, 2.0)
        spread = tf.where(uniform[2] < 0.5, 0.0, 0.7 * uniform[3])
        scales = tf.exp(spread * tf.random.stateless_normal([len(kind.shapes)], seed, alg="philox"))
        normal = tf.random.stateless_normal([self.size], seed + tf.constant([1, 0]), alg="philox")
        initial, scale, offset = [], [], 0
        for k, (shape, size) in enumerate(zip(kind.shapes, kind.sizes, strict=True)):
            inputs = size // shape[-1]
            fan_in = gain / inputs**0.5 if len(shape) > 1 else 0.0
            deviation = tf.where(uniform[0] < 0.35, small, fan_in)
            initial.append((k in kind.ones) + deviation * normal[offset : offset + size])
            scale.append(tf.fill([size], scales[k]))
            offset += size
        rest = tf.zeros([self.size - offset])
        return tf.concat([*initial, rest], axis=0), tf.concat([*scale, rest], axis=0)

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        """The loss of the problem's network on the minibatch that `seed` draws."""
        weights = problem["initial"] + problem["scale"] * params["theta"]
        branches = [partial(kind.loss, _cut(weights, kind), problem, self, seed) for kind in self.kinds]
        return tf.switch_case(problem["kind"], branches)  # one kind is computed

    def minibatch(self, problem: Problem, seed: tf.Tensor, batch: int = BATCH) -> tuple[tf.Tensor, tf.Tensor]:
        """Images [batch, 196], scaled and shifted, and labels [batch]."""
        draw = tf.random.stateless_uniform([batch], seed, 0, problem["count"], tf.int32, alg="philox")
        pixels = tf.cast(tf.gather(self.images, problem["first"] + draw), tf.float32) / 255.0
        return problem["gain"] * (pixels - problem["shift"]), tf.gather(self.labels, problem["first"] + draw)


def _log_uniform(uniform: tf.Tensor, low: float, high: float | tf.Tensor) -> tf.Tensor:
    return low * tf.exp(uniform * tf.math.log(high / low))


def _cut(vector: tf.Tensor, kind: Kind) -> list[tf.Tensor]:
    """The kind's tensors, from the beginning of the vector."""
    parts = tf.split(vector[: sum(kind.sizes)], kind.sizes)
    return [tf.reshape(part, shape) for part, shape in zip(parts, kind.shapes, strict=True)]


def _activate(x: tf.Tensor, problem: Problem) -> tf.Tensor:
    a, b, c, d, e, f = tf.unstack(tf.constant(list(ACTIVATIONS.values()))[problem["activation"]])
    s = tanh(c * x)
    return a + b * s + x * (d + e * s) + f * tf.abs(x)


def _some(width: int, problem: Problem) -> tf.Tensor:
    """1 for the units that the problem's network has, else 0: [width]."""
    return tf.cast(tf.range(width) < tf.cast(tf.math.ceil(problem["width"] * width), tf.int32), tf.float32)


def _batch_mean(losses: tf.Tensor, problem: Problem) -> tf.Tensor:
    """The mean over the first examples, as many as the problem's minibatches have."""
    kept = tf.cast(tf.range(losses.shape[0]) < tf.cast(problem["batch"], tf.int32), tf.float32)
    return tf.reduce_sum(kept * losses) / tf.reduce_sum(kept)


def _cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def _normalized(x: tf.Tensor, axes: Sequence[int]) -> tf.Tensor:
    mean, variance = tf.nn.moments(x, axes, keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + 1e-5)


def _mlp(x: tf.Tensor, tensors: Tensors, problem: Problem, width: int) -> tf.Tensor:
    """Outputs of a network with one hidden layer and `depth` more of its size; residual if `normalize` says so."""
    mask = _some(width, problem)
    w, b, *hidden, w_output, b_output = tensors
    x = mask * _activate(x @ w + b, problem)
    for k in range(len(hidden) // 2):
        new = mask * _activate(x @ hidden[2 * k] + hidden[2 * k + 1], problem)
        x = tf.where(k < problem["depth"], new, x)
    return x @ w_output + b_output


def _images_loss(tensors: Tensors, problem: Problem, optimizee: RandomNetworks, seed: tf.Tensor) -> tf.Tensor:
    """Cross entropy of an MLP on images, or the squared error of its outputs as one-hot codes."""
    x, labels = optimizee.minibatch(problem, seed)
    outputs = _mlp(x, tensors, problem, 48)
    squares = tf.reduce_sum((outputs - tf.one_hot(labels, CLASSES)) ** 2, axis=1)
    losses = tf.where(problem["task"] == 0, squares, _cross_entropy(labels, outputs))
    return _batch_mean(losses, problem)


def _table_loss(tensors: Tensors, problem: Problem, optimizee: RandomNetworks, seed: tf.Tensor) -> tf.Tensor:
    """Regression or classification of a table whose targets are a random network's, with noise."""
    del optimizee
    x = tf.random.stateless_normal([BATCH, TABLE], seed, alg="philox")
    teacher = tf.random.stateless_normal([TABLE, TEACHER], problem["seed"] + tf.constant([0, 90]), alg="philox")
    readout = tf.random.stateless_normal([TEACHER, CLASSES], problem["seed"] + tf.constant([0, 91]), alg="philox")
    targets = tf.tanh(x @ teacher / 2.0) @ readout / 3.0
    noise = 0.1 * tf.random.stateless_normal([BATCH], seed + tf.constant([0, 1 << 20]), alg="philox")
    outputs = _mlp(x * problem["gain"], tensors, problem, 64)
    one = (outputs[:, 0] - targets[:, 0] - noise) ** 2
    all_columns = tf.reduce_mean((outputs - targets) ** 2, axis=1)
    classes = _cross_entropy(tf.argmax(targets, axis=1, output_type=tf.int32), outputs)
    return _batch_mean(tf.stack([one, all_columns, classes])[problem["task"]], problem)


def _conv_loss(tensors: Tensors, problem: Problem, optimizee: RandomNetworks, seed: tf.Tensor) -> tf.Tensor:
    """Cross entropy of a conv net on 8 x 8 images of three channels, with batch norm or without."""
    x, labels = optimizee.minibatch(problem, seed, 32)
    x = tf.reshape(x[:, :192], [-1, 8, 8, 3])
    w1, b1, g1, w2, b2, g2, w3, b3 = tensors
    for w, b, g in ((w1, b1, g1), (w2, b2, g2)):
        y = tf.nn.conv2d(x, w, 2, "SAME")
        y = tf.where(problem["normalize"] > 0, g * _normalized(y, [0, 1, 2]), y)
        x = _activate(y + b, problem)
    logits = tf.reshape(x, [32, -1]) @ w3 + b3
    return tf.reduce_mean(_cross_entropy(labels, logits))


def _sequences(problem: Problem, seed: tf.Tensor, count: int = 16) -> tf.Tensor:
    """Tokens [count, LENGTH + 1]: each a function of the two before it, or now and then anything."""
    noise = tf.random.stateless_uniform([count, LENGTH + 1], seed, 0, VOCABULARY, tf.int32, alg="philox")
    chance = tf.random.stateless_uniform([count, LENGTH + 1], seed + tf.constant([0, 1 << 20]), alg="philox")
    rule = tf.random.stateless_uniform(
        [VOCABULARY * 4], problem["seed"] + tf.constant([0, 92]), 0, VOCABULARY, tf.int32, alg="philox"
    )
    tokens = [noise[:, 0], noise[:, 1]]
    for t in range(2, LENGTH + 1):
        follows = tf.gather(rule, tokens[-1] * 4 + tokens[-2] // 4)
        tokens.append(tf.where(chance[:, t] < 0.1, noise[:, t], follows))
    return tf.stack(tokens, axis=1)


def _attention_loss(tensors: Tensors, problem: Problem, optimizee: RandomNetworks, seed: tf.Tensor) -> tf.Tensor:
    """Cross entropy of the next token, by embedding, causal attention and a layer of units, layer norm before both."""
    del optimizee
    tokens = _sequences(problem, seed)
    embedding, position, qkv, mix, g1, g2, w1, b1, w2, b2, out = tensors
    x = tf.one_hot(tokens[:, :-1], VOCABULARY) @ embedding + position
    q, k, v = tf.split((g1 * _normalized(x, [2])) @ qkv, 3, axis=2)
    scores = tf.matmul(q, k, transpose_b=True) / EMBEDDING**0.5
    causal = tf.linalg.band_part(tf.ones([LENGTH, LENGTH]), -1, 0)
    x += tf.nn.softmax(scores - 1e9 * (1.0 - causal)) @ v @ mix
    x += _activate((g2 * _normalized(x, [2])) @ w1 + b1, problem) @ w2 + b2
    return tf.reduce_mean(_cross_entropy(tokens[:, 1:], x @ out))


def _recurrent_loss(tensors: Tensors, problem: Problem, optimizee: RandomNetworks, seed: tf.Tensor) -> tf.Tensor:
    """Cross entropy of the next token, by embedding and a recurrent layer, gated or plain."""
    del optimizee
    tokens = _sequences(problem, seed)
    embedding, w_in, w_state, b, out, b_out = tensors
    inputs = tf.one_hot(tokens[:, :-1], VOCABULARY) @ embedding @ w_in + b
    h = tf.zeros([inputs.shape[0], EMBEDDING])
    states = []
    for t in range(LENGTH):
        candidate, gate = tf.split(inputs[:, t] + h @ w_state, 2, axis=1)
        gate = tf.where(problem["normalize"] > 0, tf.sigmoid(gate), 1.0)
        h += gate * (tf.tanh(candidate) - h)
        states.append(h)
    logits = tf.stack(states, axis=1) @ out + b_out
    return tf.reduce_mean(_cross_entropy(tokens[:, 1:], logits))


def _mlp_shapes(inputs: int, width: int, more: int) -> list[list[int]]:
    return [[inputs, width], [width], *([[width, width], [width]] * more), [width, CLASSES], [CLASSES]]


_E = EMBEDDING
KINDS = {
    "images": Kind(_mlp_shapes(PIXELS, 48, 3), _images_loss),
    "table": Kind(_mlp_shapes(TABLE, 64, 2), _table_loss),
    "conv": Kind(
        [[3, 3, 3, 16], [16], [16], [3, 3, 16, 24], [24], [24], [2 * 2 * 24, CLASSES], [CLASSES]], _conv_loss, (2, 5)
    ),
    "attention": Kind(
        [
            *([VOCABULARY, _E], [LENGTH, _E], [_E, 3 * _E], [_E, _E], [_E], [_E]),
            *([_E, 2 * _E], [2 * _E], [2 * _E, _E], [_E], [_E, VOCABULARY]),
        ],
        _attention_loss,
        (4, 5),
    ),
    "recurrent": Kind(
        [[VOCABULARY, _E], [_E, 2 * _E], [_E, 2 * _E], [2 * _E], [_E, VOCABULARY], [VOCABULARY]], _recurrent_loss
    ),
}
