"""The MNIST network: an MLP of sigmoid units (section 3.2)."""

import sonnet as snt
import tensorflow as tf

from l2l_tf.checks import at_least, one_of

ACTIVATIONS = {"sigmoid": tf.sigmoid, "relu": tf.nn.relu, "tanh": tf.tanh}

MOST_LAYERS, MOST_UNITS = 100, 10_000


def mlp(layers: int = 1, units: int = 20, activation: str = "sigmoid", classes: int = 10) -> snt.Module:
    """Images [batch, height, width, channels] to logits [batch, classes] through `layers` layers of `units` units."""
    at_least("layers", layers, 0, MOST_LAYERS)
    at_least("units", units, 1, MOST_UNITS)
    at_least("classes", classes, 1, MOST_UNITS)
    one_of("activation", activation, ACTIVATIONS)
    sizes = [units] * layers + [classes]
    return snt.Sequential([snt.Flatten(), snt.nets.MLP(sizes, activation=ACTIVATIONS[activation])])
