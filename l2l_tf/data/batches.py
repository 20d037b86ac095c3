"""The two published forms of CIFAR-10's batches, python (pickles) and binary.

Both hold an image as 3,072 bytes: the red, the green, then the blue plane, each 32 rows of 32.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from l2l_tf.data.images import Images, checked
from l2l_tf.errors import InputError
from l2l_tf.files import read_bytes
from l2l_tf.serialization.unpickler import as_text, read_pickle

SHAPE = (32, 32, 3)
BATCHES = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
BYTES = 3 * 32 * 32
MOST_BYTES = 2**26  # of a batch of 10,000 images, which has half of that

Batch = tuple[np.ndarray, np.ndarray]  # planes uint8 [n, 3072], labels [n]


def read_batches(folder: Path, read: Callable[[Path], Batch], part: str) -> Images:
    """The batches of a part ("train" or "test"), one after the other.

    Returns:
        images uint8 [n, 32, 32, 3], labels int32 [n].

    Raises:
        InputError: a batch is missing or damaged.
    """
    batches = [_read_batch(folder / name, read) for name in BATCHES[part]]
    return Images(np.concatenate([b.images for b in batches]), np.concatenate([b.labels for b in batches]))


def _read_batch(path: Path, read: Callable[[Path], Batch]) -> Images:
    planes, labels = read(path)
    return checked(path, planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels)


def read_binary_batch(path: Path) -> Batch:
    """A binary batch (`path` without its .bin): for each image its label, one byte, then its planes."""
    path = path.with_name(f"{path.name}.bin")
    content = read_bytes(path, MOST_BYTES)
    if len(content) % (1 + BYTES):
        raise InputError(f"{path}: {len(content)} bytes: must be a multiple of {1 + BYTES}")
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + BYTES)
    return records[:, 1:], records[:, 0]


def read_python_batch(path: Path) -> Batch:
    """A python batch: a pickled dictionary whose b"data" are the planes and b"labels" a list."""
    batch = read_pickle(path)
    values = {as_text(key): value for key, value in batch.items()} if isinstance(batch, dict) else {}
    planes, labels = getattr(values.get("data"), "array", None), values.get("labels")
    if planes is None or not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise InputError(f"{path}: must be a pickled CIFAR-10 batch, with data and a list of labels")
    if planes.ndim != 2 or planes.shape[1] != BYTES:
        raise InputError(f"{path}: data {list(planes.shape)}: must be [n, {BYTES}]")
    return planes, np.array(labels)
