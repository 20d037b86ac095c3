"""Files that are written whole or not at all, and tensors in safetensors files that know whether they are intact."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from l2l_tf.errors import InputError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes `path`'s place only when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays into one safetensors file, with a checksum."""
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    with written_whole(path) as temporary:
        save_file(contiguous, temporary, {"sha256": _digest(contiguous)})


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """What `save_arrays` wrote.

    Raises:
        InputError: the file is missing, truncated or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged, not a readable safetensors file ({error})") from error
    if metadata.get("sha256") != _digest(arrays):
        raise InputError(f"{path}: damaged, its content does not match its checksum")
    return arrays
