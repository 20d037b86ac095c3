"""MNIST and CIFAR-10: get them (`fetch_*`), then verify and load them (`load_*`, which never touch the network)."""

from l2l_tf.data.cifar10 import CLASSES, fetch_cifar10, load_cifar10
from l2l_tf.data.images import SPLITS, Images
from l2l_tf.data.mnist import fetch_mnist, load_mnist
from l2l_tf.data.small_images import load_small_images

__all__ = [
    "CLASSES",
    "SPLITS",
    "Images",
    "fetch_cifar10",
    "fetch_mnist",
    "load_cifar10",
    "load_mnist",
    "load_small_images",
]
