"""Files that are read within bounds and written whole or not at all; arrays in files that know whether they are intact.

Files come from others too. So only regular files are opened (a pipe would wait for ever), none larger than it may be,
and whatever is wrong with one is one line.
"""

import hashlib
import os
import re
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from l2l_tf.checks import shown
from l2l_tf.errors import InputError

MOST_BYTES = 2**30  # of a file that is read whole
TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")
ABANDONED = 3600.0  # seconds after which a temporary file's writer has been killed: writing takes less by far
DTYPES = (
    *("bool", "uint8", "int8", "uint16", "int16", "int32", "int64", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)


def regular_file(path: Path, most: int = MOST_BYTES) -> Path:
    """The path, once it is known to be that of a regular file of at most `most` bytes.

    Raises:
        InputError: it is not, and how.
    """
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path}: is a folder, must be a file")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: is a pipe or a device, must be a regular file")
    if status.st_size > most:
        raise InputError(f"{path}: has {status.st_size} bytes, must have at most {most}")
    return path


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Content of a regular file of at most `most` bytes.

    Raises:
        InputError: it cannot be read, or is no such file.
    """
    try:
        return regular_file(path, most).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Writes a file so that a reader finds the old content or the new, never a part: temporary file, then rename.

    Missing folders are made. Temporary files that killed writers left in the folder are removed.

    Raises:
        InputError: the file cannot be written; the old one, if any, is untouched.
    """
    temporary = path.with_name(f".{uuid4().hex}.tmp")  # beside it: only within a file system is a rename one step
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error


def _remove_abandoned(folder: Path) -> None:
    with os.scandir(folder) as entries:
        temporaries = [entry for entry in entries if TEMPORARY.fullmatch(entry.name)]
    for entry in temporaries:
        try:
            if time.time() - entry.stat().st_mtime > ABANDONED:
                os.unlink(entry.path)
        except FileNotFoundError:  # its writer, or another one's cleaning, was quicker
            continue


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
        InputError: the file is missing, truncated or damaged, or holds what NumPy has no arrays for.
    """
    regular_file(path)
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            arrays = {name: file.get_tensor(name) for name in names}
            metadata = file.metadata() or {}
    except (
        Exception
    ) as error:  # besides its own errors: NumPy's and Python's for shapes and types that they do not know
        raise InputError(f"{path}: damaged, not a readable safetensors file ({shown(error, 200)})") from error
    unknown = sorted({str(array.dtype) for array in arrays.values()}.difference(DTYPES))
    if unknown:
        raise InputError(f"{path}: has numbers of type {', '.join(unknown)}, must be one of {', '.join(DTYPES)}")
    if metadata.get("sha256") != _digest(arrays):
        raise InputError(f"{path}: damaged, its content does not match its checksum")
    return arrays
