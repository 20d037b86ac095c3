"""The floor of CIFAR-10's network: how much of a loss and its gradient its convolutions alone take."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd
import tensorflow as tf

from experiments.benchmarks.measure import median_seconds, random_images
from l2l_tf.optimizees import SonnetClassifier, convnet

BATCH, SIZE, CHANNELS, KERNEL, POOL = 128, 32, (3, 16, 16, 16), 5, 2  # as in conf/optimizee/cifar10_convnet.yaml


def study(repeats: int) -> pd.DataFrame:
    """Columns what, seconds: of a loss and its gradient on one minibatch, and of the convolutions in them."""
    network = SonnetClassifier(convnet, random_images(SIZE, CHANNELS[0]), batch_size=BATCH)
    theta, seed = network.init(tf.constant([0, 0])), tf.constant([0, 1])
    layers = inputs_and_filters()

    def gradient() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(theta)
            loss = network.loss(theta, (), seed)
        return loss, tape.gradient(loss, theta)

    functions: dict[str, Callable[[], Any]] = {"loss and gradient": gradient, "convolutions": lambda: convolve(layers)}
    traced = {name: tf.function(function, autograph=False) for name, function in functions.items()}
    return pd.DataFrame(list(median_seconds(traced, repeats).items()), columns=["what", "seconds"])


def inputs_and_filters() -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Random ones of each convolution's shapes."""
    random, layers = tf.random.Generator.from_seed(0), []
    for k, (inputs, outputs) in enumerate(pairwise(CHANNELS)):
        side = SIZE // POOL**k
        layers.append((random.normal([BATCH, side, side, inputs]), random.normal([KERNEL, KERNEL, inputs, outputs])))
    return layers


def convolve(layers: Sequence[tuple[tf.Tensor, tf.Tensor]]) -> list[tf.Tensor]:
    """Each convolution, and its vector-Jacobian products: with the filter, and from the second on with the input."""
    found: list[tf.Tensor] = []
    for k, (x, w) in enumerate(layers):
        with tf.GradientTape() as tape:
            tape.watch([x, w])
            y = tf.nn.conv2d(x, w, 1, "SAME")
        found += tape.gradient(y, [w, x] if k else [w], output_gradients=y)
    return found
