"""The two published forms of CIFAR-10's batches, python (pickles) and binary.

Both hold an image as 3,072 bytes: the red, the green, then the blue plane, each 32 rows of 32.
"""

import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np

from l2l_tf.data.images import Images, checked
from l2l_tf.errors import InputError
from l2l_tf.files import read_bytes

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
    content = read_bytes(path, MOST_BYTES)
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        planes, labels = batch[b"data"], batch[b"labels"]
        if not isinstance(planes, np.ndarray) or planes.nbytes > len(content):  # NumPy would make any size of array
            raise pickle.UnpicklingError("its data are not an array that it holds")
        if not isinstance(labels, list) or not all(type(label) is int for label in labels):
            raise pickle.UnpicklingError("its labels are not a list of integers")
        labels = np.asarray(labels)
    except Exception as error:  # damaged bytes are instructions to a pickle machine: anything can come of them
        raise InputError(f"{path}: must be a pickled CIFAR-10 batch ({_first_line(error)})") from error
    if planes.ndim != 2 or planes.shape[1] != BYTES:
        raise InputError(f"{path}: data {list(planes.shape)}: must be [n, {BYTES}]")
    return planes, labels


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


_RECONSTRUCT = np.empty(0).__reduce__()[0]  # the module that NumPy keeps it in depends on the version
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    """Unpickles NumPy arrays and plain values only: a pickle may otherwise call any function there is."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _ALLOWED[module, name]
