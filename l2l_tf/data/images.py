"""Labelled images in memory, and the splits of a data set."""

from dataclasses import dataclass

import numpy as np

from l2l_tf.checks import at_least, one_of
from l2l_tf.errors import InputError

SPLITS = ("train", "validation", "test")
LABELS = 10  # both data sets have ten classes


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Attributes:
        images: uint8 [n, height, width, channels].
        labels: int32 [n].
    """

    images: np.ndarray
    labels: np.ndarray


def checked(source: object, images: np.ndarray, labels: np.ndarray) -> Images:
    """The images and labels read from `source`, once they are known to fit together.

    Raises:
        InputError: no images, not one label an image, or a label outside 0 to 9.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or not images.size:
        raise InputError(
            f"{source}: {images.dtype} {list(images.shape)}: must be uint8 images [n, height, width, channels]"
        )
    if labels.shape != images.shape[:1]:
        raise InputError(f"{source}: {len(images)} images but labels {list(labels.shape)}: must be one label an image")
    if labels.dtype.kind not in "iu":
        raise InputError(f"{source}: labels of type {labels.dtype}: must be integers from 0 to {LABELS - 1}")
    if labels.min() < 0 or labels.max() >= LABELS:
        raise InputError(f"{source}: labels {labels.min()} to {labels.max()}: must be integers from 0 to {LABELS - 1}")
    return Images(images, labels.astype(np.int32))


def part_of(split: str) -> str:
    """The half of the published data that holds `split`: "train" (which also holds the validation split) or "test".

    Raises:
        InputError: the split is none of `SPLITS`.
    """
    return "test" if one_of("split", split, SPLITS) == "test" else "train"


def take_split(part: Images, split: str, one_in: int) -> Images:
    """The split's share of its part: the last of every `one_in` training images, as a block, are for validation.

    Raises:
        InputError: there are too few images for a validation split.
    """
    if split == "test":
        return part
    held_out = len(part.labels) // one_in
    if not held_out:
        raise InputError(f"split={split}: only {len(part.labels)} training images: must be at least {one_in}")
    share = slice(-held_out) if split == "train" else slice(-held_out, None)
    return Images(part.images[share], part.labels[share])


def shrink(images: Images, factor: int) -> Images:
    """The images with blocks of `factor` x `factor` pixels averaged, rounded to whole numbers.

    Raises:
        InputError: `factor` is below 1 or does not divide height and width.
    """
    height, width = images.images.shape[1:3]
    if at_least("shrink_by", factor, 1) == 1:
        return images
    if height % factor or width % factor:
        raise InputError(f"shrink_by={factor}: must divide the images' height and width, {height} and {width}")
    sums = np.zeros_like(images.images[:, ::factor, ::factor], np.float32)
    for row, column in np.ndindex(factor, factor):
        sums += images.images[:, row::factor, column::factor]
    return Images((sums / factor**2).round().astype(np.uint8), images.labels)
