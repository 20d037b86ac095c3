"""Features of images: the activations of a VGG network (Simonyan & Zisserman, 2015), as neural art uses them."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from l2l_tf.checks import one_of
from l2l_tf.errors import InputError


class FeatureNetwork:
    """Blocks of 3×3 convolutions with ReLU, average pooling between them.

    Pooling is by the mean and not by the maximum, as Gatys et al. (2015, section 2) found better for making images.

    Args:
        weights: `conv1_1/w` [3, 3, in, out] and `conv1_1/b` [out] for every convolution, and `mean` [in], the colour
            that is subtracted from an image. Layers are named by their ReLU: `relu1_1`.

    Raises:
        InputError: there are no such convolutions, or their shapes do not fit together.
    """

    def __init__(self, weights: Mapping[str, np.ndarray]):
        names = sorted(match[1] for name in weights if (match := re.fullmatch(r"conv(\d+_\d+)/w", name)))
        if not names:
            raise InputError("features: have no convolutions conv1_1/w, conv1_1/b and so on")
        channels = int(np.size(weights["mean"]))
        self.mean = tf.constant(weights["mean"])
        self.filters: dict[str, tuple[tf.Tensor, tf.Tensor]] = {}
        for name in names:
            w, b = (weights.get(f"conv{name}/{kind}", np.empty(0)) for kind in "wb")
            if w.ndim != 4 or w.shape[2] != channels or b.shape != w.shape[3:]:
                raise InputError(f"features: conv{name} is {w.shape}, {b.shape}: must have {channels} channels")
            self.filters[f"relu{name}"] = tf.constant(w), tf.constant(b)
            channels = w.shape[3]

    def __call__(self, images: tf.Tensor, layers: Sequence[str]) -> dict[str, tf.Tensor]:
        """Activations [n, height, width, channels] by layer, of images [n, height, width, 3] less their mean colour.

        Nothing beyond the last of `layers` is computed.
        """
        wanted = {one_of("layer", layer, self.filters) for layer in layers}
        found: dict[str, tf.Tensor] = {}
        x = images
        for name, (w, b) in self.filters.items():
            if len(found) == len(wanted):
                break
            if name.endswith("_1") and name != next(iter(self.filters)):
                x = tf.nn.avg_pool2d(x, 2, 2, "SAME")
            x = tf.nn.relu(tf.nn.conv2d(x, tf.cast(w, x.dtype), 1, "SAME") + tf.cast(b, x.dtype))
            if name in wanted:
                found[name] = x
        return found


def gram_matrix(activations: tf.Tensor) -> tf.Tensor:
    """Correlations of channels, the mean over positions: [n, height, width, c] to [n, c, c]."""
    shape = activations.shape
    by_position = tf.reshape(activations, [-1, shape[1] * shape[2], shape[3]])
    return tf.matmul(by_position, by_position, transpose_a=True) / (shape[1] * shape[2])
