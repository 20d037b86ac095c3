"""Data sets and feature networks: get them (`fetch_*`), verify and load them (`load_*`, which need no network)."""

from l2l_tf.data.cifar10 import CLASSES, fetch_cifar10, load_cifar10
from l2l_tf.data.features import fetch_features, load_features
from l2l_tf.data.images import SPLITS, Images
from l2l_tf.data.mnist import fetch_mnist, load_mnist
from l2l_tf.data.photographs import fetch_photographs, load_contents, load_style
from l2l_tf.data.small_images import load_small_images

__all__ = [
    "CLASSES",
    "SPLITS",
    "Images",
    "fetch_cifar10",
    "fetch_features",
    "fetch_mnist",
    "fetch_photographs",
    "load_cifar10",
    "load_contents",
    "load_features",
    "load_mnist",
    "load_small_images",
    "load_style",
]
