"""Files that are written whole or not at all, and tensors in safetensors files that know whether they are intact."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from l2l_tf.errors import InputError


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Writes a file so that a reader finds the old content or the new, never a part: temporary file, then rename.

    Missing folders are made.

    Raises:
        InputError: the file cannot be written; the old one, if any, is untouched.
    """
    temporary = path.with_name(f".{uuid4().hex}.tmp")  # beside it: only within a file system is a rename one step
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays into one safetensors file, with a checksum.

    Raises:
        InputError: the file cannot be written.
    """
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    write_whole(path, save(contiguous, {"sha256": _digest(contiguous)}))


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """What `save_arrays` wrote.

    Raises:
        InputError: the file is missing, truncated or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            arrays = {name: file.get_tensor(name) for name in names}
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged, not a readable safetensors file ({error})") from error
    if metadata.get("sha256") != _digest(arrays):
        raise InputError(f"{path}: damaged, its content does not match its checksum")
    return arrays
