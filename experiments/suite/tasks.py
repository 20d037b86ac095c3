"""The suite's tasks: ordinary small models, initialized as Keras does, on data that `general` was not trained on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.data import load_cifar10, load_mnist
from l2l_tf.data.images import shrink
from l2l_tf.optimizees import Optimizee
from l2l_tf.optimizees.base import Parameters

Data = tuple[np.ndarray, np.ndarray]  # inputs and targets, one row an example
Forward = Callable[[Parameters, tf.Tensor], tf.Tensor]
Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class Task(Optimizee):
    """A model on a fixed data set.

    Args:
        shapes: of the parameters by name; names ending in `b` begin at 0, in `g` at 1, in `embedding` uniform within
            0.05, all others Glorot-uniform.
        forward: inputs [batch, ...] to outputs.
        loss: targets and outputs to each example's loss.
        data: the examples, from which minibatches are drawn with replacement.
        batch: examples in a minibatch.
    """

    compile = True

    def __init__(self, shapes: Mapping[str, Sequence[int]], forward: Forward, loss: Loss, data: Data, batch: int = 32):
        self.shapes, self.forward, self.of_example, self.batch = dict(shapes), forward, loss, batch
        self.inputs, self.targets = tf.constant(data[0]), tf.constant(data[1])

    def init(self, seed: tf.Tensor) -> Parameters:
        """θ_0, as Keras initializes its layers."""
        return {
            name: _initial(name, shape, seed + tf.constant([0, k]))
            for k, (name, shape) in enumerate(self.shapes.items())
        }

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        """The mean loss of the minibatch that `seed` draws."""
        del problem
        rows = tf.random.stateless_uniform([self.batch], seed, 0, len(self.inputs), tf.int32, alg="philox")
        return self._of(params, rows)

    def loss_of_all(self, params: Parameters) -> tf.Tensor:
        """The mean loss of all minibatches of successive examples; what does not fill one is left out."""
        minibatches = len(self.inputs) // self.batch
        return tf.reduce_mean(
            tf.map_fn(
                lambda k: self._of(params, k * self.batch + tf.range(self.batch)),
                tf.range(minibatches),
                fn_output_signature=tf.float32,
            )
        )

    def _of(self, params: Parameters, rows: tf.Tensor) -> tf.Tensor:
        outputs = self.forward(params, tf.gather(self.inputs, rows))
        return tf.reduce_mean(self.of_example(tf.gather(self.targets, rows), outputs))


def _initial(name: str, shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    if name.endswith("embedding"):  # before what ends in `g` for another reason
        return tf.random.stateless_uniform(shape, seed, -0.05, 0.05)
    if name.endswith(("b", "g")):
        return tf.fill(shape, float(name.endswith("g")))
    field = int(np.prod(shape[:-2], initial=1))
    limit = (6.0 / (field * (shape[-2] + shape[-1]))) ** 0.5
    return tf.random.stateless_uniform(shape, seed, -limit, limit)


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Of each example."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def squared_error(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """The mean over an example's outputs."""
    return tf.reduce_mean((outputs - targets) ** 2, axis=-1)


def dense_shapes(sizes: Sequence[int]) -> dict[str, Sequence[int]]:
    """Kernels and biases of layers of these sizes, the inputs first."""
    shapes: dict[str, Sequence[int]] = {}
    for k in range(1, len(sizes)):
        shapes |= {f"{k:02}_w": (sizes[k - 1], sizes[k]), f"{k:02}_b": (sizes[k],)}
    return shapes


def dense(activation: Callable[[tf.Tensor], tf.Tensor]) -> Forward:
    """A multilayer perceptron, its outputs linear."""

    def forward(params: Parameters, x: tf.Tensor) -> tf.Tensor:
        layers = len(params) // 2
        for k in range(1, layers + 1):
            x = x @ params[f"{k:02}_w"] + params[f"{k:02}_b"]
            x = activation(x) if k < layers else x
        return x

    return forward


def convolutional(normalize: bool) -> tuple[dict[str, Sequence[int]], Forward]:
    """Three convolutions and a linear layer on 16 x 16 images, with batch norm or without."""
    channels = (3, 12, 16, 24)
    shapes: dict[str, Sequence[int]] = {}
    for k in (1, 2, 3):
        shapes |= {f"{k}_w": (3, 3, channels[k - 1], channels[k]), f"{k}_b": (channels[k],)}
        shapes |= {f"{k}_g": (channels[k],)} if normalize else {}
    shapes |= {"4_w": (4 * 24, 10), "4_b": (10,)}

    def forward(params: Parameters, x: tf.Tensor) -> tf.Tensor:
        for k in (1, 2, 3):
            x = tf.nn.conv2d(x, params[f"{k}_w"], 2, "SAME")
            if normalize:
                mean, variance = tf.nn.moments(x, [0, 1, 2])
                x = params[f"{k}_g"] * (x - mean) * tf.math.rsqrt(variance + 1e-3)
            x = tf.nn.relu(x + params[f"{k}_b"])
        return tf.reshape(x, [x.shape[0], -1]) @ params["4_w"] + params["4_b"]

    return shapes, forward


def transformer(vocabulary: int, length: int, size: int = 32, heads: int = 2) -> tuple[dict[str, Any], Forward]:
    """Two pre-norm blocks of causal attention and a GELU layer, on tokens [batch, length]."""
    shapes: dict[str, Any] = {"embedding": (vocabulary, size), "position_embedding": (length, size)}
    for k in (1, 2):
        shapes |= {f"{k}_qkv": (size, 3 * size), f"{k}_out": (size, size), f"{k}_1_g": (size,), f"{k}_2_g": (size,)}
        shapes |= {f"{k}_up": (size, 2 * size), f"{k}_up_b": (2 * size,), f"{k}_down": (2 * size, size)}
        shapes |= {f"{k}_down_b": (size,), f"{k}_1_b": (size,), f"{k}_2_b": (size,)}
    shapes |= {"3_g": (size,), "3_b": (size,), "head": (size, vocabulary)}

    def norm(x: tf.Tensor, g: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        return g * (x - mean) * tf.math.rsqrt(variance + 1e-6) + b

    def forward(params: Parameters, tokens: tf.Tensor) -> tf.Tensor:
        x = tf.one_hot(tokens, vocabulary) @ params["embedding"] + params["position_embedding"]
        mask = -1e9 * (1.0 - tf.linalg.band_part(tf.ones([length, length]), -1, 0))
        for k in (1, 2):
            y = norm(x, params[f"{k}_1_g"], params[f"{k}_1_b"]) @ params[f"{k}_qkv"]
            q, key, v = tf.unstack(tf.transpose(tf.reshape(y, [-1, length, 3, heads, size // heads]), [2, 0, 3, 1, 4]))
            weights = tf.nn.softmax(tf.matmul(q, key, transpose_b=True) / (size // heads) ** 0.5 + mask)
            y = tf.reshape(tf.transpose(weights @ v, [0, 2, 1, 3]), [-1, length, size])
            x += y @ params[f"{k}_out"]
            y = tf.nn.gelu(
                norm(x, params[f"{k}_2_g"], params[f"{k}_2_b"]) @ params[f"{k}_up"] + params[f"{k}_up_b"], True
            )
            x += y @ params[f"{k}_down"] + params[f"{k}_down_b"]
        return norm(x, params["3_g"], params["3_b"]) @ params["head"]

    return shapes, forward


def gru(inputs: int, size: int, classes: int) -> tuple[dict[str, Any], Forward]:
    """A gated recurrent layer over rows [batch, steps, inputs], its last state classified."""
    shapes = {"in_w": (inputs, 3 * size), "state_w": (size, 3 * size), "in_b": (3 * size,)}
    shapes |= {"out_w": (size, classes), "out_b": (classes,)}

    def forward(params: Parameters, x: tf.Tensor) -> tf.Tensor:
        projected = x @ params["in_w"] + params["in_b"]
        h = tf.zeros([x.shape[0], size])
        for t in range(x.shape[1]):
            z, r, c = tf.split(projected[:, t], 3, axis=1)
            of_z, of_r, of_c = tf.split(h @ params["state_w"], 3, axis=1)
            z, r = tf.sigmoid(z + of_z), tf.sigmoid(r + of_r)
            h = z * h + (1.0 - z) * tf.tanh(c + r * of_c)
        return h @ params["out_w"] + params["out_b"]

    return shapes, forward


def ratings(users: int, items: int, size: int) -> tuple[dict[str, Any], Forward]:
    """Two embeddings and an MLP on top: pairs (user, item) to a rating."""
    shapes = {"user_embedding": (users, size), "item_embedding": (items, size), **dense_shapes([2 * size, 32, 1])}
    top = dense(tf.nn.relu)

    def forward(params: Parameters, pairs: tf.Tensor) -> tf.Tensor:
        vectors = [tf.gather(params[f"{of}_embedding"], pairs[:, k]) for k, of in enumerate(("user", "item"))]
        return top({name: w for name, w in params.items() if "embedding" not in name}, tf.concat(vectors, axis=1))

    return shapes, forward


# Data.


def images(directory: str, name: str, shrink_by: int) -> Data:
    """Test images in [0, 1], float32, and labels."""
    of = load_mnist(directory, "test") if name == "mnist" else load_cifar10(directory, "test")
    of = shrink(of, shrink_by)
    return of.images.astype(np.float32) / 255.0, of.labels


def flat(data: Data) -> Data:
    """Images as vectors."""
    return data[0].reshape(len(data[0]), -1), data[1]


def friedman(rows: int = 5000) -> Data:
    """Friedman's first regression function of ten columns, five of which matter, with noise; standardized."""
    generator = np.random.default_rng(1)
    x = generator.uniform(size=[rows, 10])
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    y += generator.normal(size=rows)
    x, y = (x - 0.5) * 12**0.5, (y - y.mean()) / y.std()
    return x.astype(np.float32), y[:, np.newaxis].astype(np.float32)


def spirals(rows: int = 3000) -> Data:
    """Three spirals in two columns, and six columns of noise."""
    generator = np.random.default_rng(2)
    labels, radius = generator.integers(3, size=rows), generator.uniform(0.1, 1.0, rows)
    angle = 4.0 * radius + 2.0 * np.pi * labels / 3 + 0.1 * generator.normal(size=rows)
    plane = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1) * 2
    x = np.concatenate([plane, generator.normal(size=[rows, 6])], axis=1)
    return x.astype(np.float32), labels.astype(np.int32)


def rated_pairs(users: int, items: int, rows: int = 20_000) -> Data:
    """Random pairs, each with the product of hidden vectors of length 4, and noise."""
    generator = np.random.default_rng(3)
    of_users, of_items = generator.normal(size=[users, 4]), generator.normal(size=[items, 4])
    pairs = np.stack([generator.integers(users, size=rows), generator.integers(items, size=rows)], axis=1)
    rating = (of_users[pairs[:, 0]] * of_items[pairs[:, 1]]).sum(axis=1) / 2 + 0.1 * generator.normal(size=rows)
    return pairs.astype(np.int32), rating[:, np.newaxis].astype(np.float32)


def sums(rows: int = 20_000, modulus: int = 11, length: int = 16) -> Data:
    """Running sums modulo 11 between the numbers that are added: each second token follows from the two before it."""
    generator = np.random.default_rng(4)
    numbers = generator.integers(modulus, size=[rows, length // 2 + 1])
    tokens = np.stack([numbers, np.cumsum(numbers, axis=1) % modulus + modulus], axis=2).reshape(rows, -1)
    return tokens[:, :length].astype(np.int32), tokens[:, 1 : length + 1].astype(np.int32)


@dataclass(frozen=True)
class Entry:
    """A task's line in the table, and what makes it from the folder of the data sets."""

    what: str
    make: Callable[[str], Task]


def _mlp(activation: Any, sizes: Sequence[int], name: str, shrink_by: int) -> Callable[[str], Task]:
    return lambda folder: Task(
        dense_shapes(sizes), dense(activation), cross_entropy, flat(images(folder, name, shrink_by))
    )


def _autoencoder(folder: str) -> Task:
    pixels = flat(images(folder, "mnist", 2))[0]
    return Task(dense_shapes([196, 48, 12, 48, 196]), dense(tf.tanh), squared_error, (pixels, pixels))


TASKS = {
    "mlp-relu": Entry("MNIST, 784-32-32-10, ReLU", _mlp(tf.nn.relu, [784, 32, 32, 10], "mnist", 1)),
    "mlp-tanh": Entry("MNIST, 784-32-32-10, tanh", _mlp(tf.tanh, [784, 32, 32, 10], "mnist", 1)),
    "mlp-gelu": Entry(
        "CIFAR-10 at 8x8, 192-64-64-10, GELU", _mlp(lambda x: tf.nn.gelu(x, True), [192, 64, 64, 10], "cifar10", 4)
    ),
    "deep": Entry("MNIST at 14x14, eight layers of 32, ReLU", _mlp(tf.nn.relu, [196, *[32] * 8, 10], "mnist", 2)),
    "wide": Entry("MNIST at 14x14, 196-512-10, ReLU", _mlp(tf.nn.relu, [196, 512, 10], "mnist", 2)),
    "conv": Entry(
        "CIFAR-10 at 16x16, three convolutions",
        lambda folder: Task(*convolutional(False), cross_entropy, images(folder, "cifar10", 2)),
    ),
    "conv-bn": Entry(
        "the same with batch norm",
        lambda folder: Task(*convolutional(True), cross_entropy, images(folder, "cifar10", 2)),
    ),
    "embedding": Entry(
        "ratings of 300 users and 200 items, embeddings of 16 and an MLP",
        lambda folder: Task(*ratings(300, 200, 16), squared_error, rated_pairs(300, 200), 64),
    ),
    "transformer": Entry(
        "running sums modulo 11, two blocks of 32",
        lambda folder: Task(*transformer(22, 16), cross_entropy, sums()),
    ),
    "rnn": Entry(
        "MNIST at 14x14 row by row, a GRU of 32",
        lambda folder: Task(*gru(14, 32, 10), cross_entropy, _rows(folder)),
    ),
    "regression": Entry(
        "Friedman's function, 10-64-64-1, ReLU",
        lambda folder: Task(dense_shapes([10, 64, 64, 1]), dense(tf.nn.relu), squared_error, friedman()),
    ),
    "classification": Entry(
        "three spirals and noise, 8-64-64-3, ReLU",
        lambda folder: Task(dense_shapes([8, 64, 64, 3]), dense(tf.nn.relu), cross_entropy, spirals()),
    ),
    "autoencoder": Entry("MNIST at 14x14, 196-48-12-48-196, tanh", _autoencoder),
}


def _rows(folder: str) -> Data:
    inputs, labels = images(folder, "mnist", 2)
    return inputs[..., 0], labels
