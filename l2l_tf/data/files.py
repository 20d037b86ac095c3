"""The data sets' folder, and their files verified by SHA-256."""

import hashlib
from pathlib import Path

import numpy as np

from l2l_tf.checks import shown
from l2l_tf.errors import InputError


def folder(directory: str | Path) -> Path:
    """The folder of the data sets, as a path.

    Raises:
        InputError: it is not a path at all, as when a configuration leaves it empty.
    """
    if not isinstance(directory, str | Path) or not str(directory) or "\0" in str(directory):
        raise InputError(f"directory={shown(directory)}: must be the path of a folder")
    return Path(directory)


def verify_sha256(source: object, expected: str, *contents: bytes | np.ndarray) -> None:
    """Compares the SHA-256 of `contents`, one after the other, with the expected one.

    Raises:
        InputError: they differ.
    """
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content if isinstance(content, bytes) else np.ascontiguousarray(content).data)
    if digest.hexdigest() != expected:
        raise InputError(f"{source}: SHA-256 {digest.hexdigest()}: must be {expected}")
