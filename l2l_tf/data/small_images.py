"""MNIST and CIFAR-10 as small images of one size, for optimizees that draw their data set."""

from pathlib import Path

import numpy as np

from l2l_tf.data.cifar10 import load_cifar10
from l2l_tf.data.images import Images, shrink
from l2l_tf.data.mnist import load_mnist

PIXELS = 196  # 14 x 14 x 1; CIFAR-10's 8 x 8 x 3 are the first 192


def load_small_images(directory: str | Path = "data", split: str = "train") -> tuple[Images, Images]:
    """MNIST at 14 x 14 and CIFAR-10 at 8 x 8: images uint8 [n, 1, 1, 196] each, zeros after what an image has.

    Raises:
        InputError: unknown split; data missing or damaged.
    """
    return flat(shrink(load_mnist(directory, split), 2)), flat(load_cifar10(directory, split, shrink_by=4))


def flat(images: Images) -> Images:
    """The images as rows of `PIXELS` numbers."""
    rows = images.images.reshape(len(images.labels), 1, 1, -1)
    return Images(np.pad(rows, [(0, 0)] * 3 + [(0, PIXELS - rows.shape[-1])]), images.labels)
