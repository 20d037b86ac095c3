"""Files that claim much: reading them is one line that takes neither memory nor time.

All are read in one process. Its peak is the kernel's, so that what libraries take is counted too.
"""

import gzip
import json
import multiprocessing
import re
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_hostile_files import BOMB, HUGE, LONE, MERGES, signed, tensors

from experiments.results.run import Spec
from experiments.results.store import MARK, ZEROS, read
from l2l_tf.data import load_cifar10, load_mnist, load_style
from l2l_tf.errors import InputError
from l2l_tf.files import load_arrays, write_whole
from l2l_tf.serialization.trained import load_optimizer

STATUS = Path("/proc/self/status")
MOST_MIB, MOST_SECONDS = 200, 20.0  # an honest MNIST takes 100 MiB; a loaded machine is slow
MIB = 2**20

pytestmark = pytest.mark.skipif(not STATUS.exists(), reason="the kernel does not say what a process has taken")


def zipped(
    folder: Path, images: bytes, copies: int = 1, says: int | None = None, way: int = zipfile.ZIP_DEFLATED
) -> Path:
    """A cache of CIFAR-10 with so many copies of `images` in a row, whose size it says is another one."""
    path = folder / "cifar10" / "cifar10.npz"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w", way, compresslevel=1) as file:
        with file.open("train_images.npy", "w", force_zip64=True) as member:
            for _ in range(copies):
                member.write(images)
        if says is not None:
            file.getinfo("train_images.npy").file_size = says
        file.writestr("train_labels.npy", b"")
    return folder


def gzipped(folder: Path) -> Path:
    part = gzip.compress(bytes(16 * MIB))
    write_whole(folder / "mnist" / "train-images-idx3-ubyte.gz", part * 320)  # 5 GiB in 5 MiB
    return folder


def described(text: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_whole(folder / "optimizer.yaml", text.encode())
        return folder

    return make


def of_tensors(header: dict[str, object], content: bytes = b"") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_whole(folder / "x.safetensors", tensors(header, content))
        return folder / "x.safetensors"

    return make


def equal_losses(folder: Path) -> Path:
    """A run of 40 million losses of zero, which take a few kilobytes."""
    columns = {"problem": pa.int32(), "step": pa.int32(), "loss": pa.float32()}
    part = pa.table({name: pa.array(np.zeros(MIB), kind) for name, kind in columns.items()})
    spec = Spec({"_target_": "a"}, {"_target_": "b"}, "test", 0, 40, MIB - 1)
    record = {"spec": asdict(spec), "probe": [0.0], "accuracy": None}
    path = folder / f"{spec.hash()}.parquet"
    path.parent.mkdir(parents=True)
    with pq.ParquetWriter(path, part.schema, store_schema=False, compression="zstd") as writer:
        for _ in range(40):
            writer.write_table(part)
        writer.add_key_value_metadata({"record": json.dumps(record), "checksum": MARK + ZEROS})
    path.write_bytes(signed(path.read_bytes()))
    return path


def wide_picture(folder: Path) -> Path:
    """A PNG's beginning, of 60,000 by 60,000 pixels."""
    chunks = (b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(1000)))
    content = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    write_whole(folder / "a.png", b"\x89PNG\r\n\x1a\n" + b"".join(content))
    return folder / "a.png"


def read_cifar10(folder: Path) -> object:
    return load_cifar10(folder, verify=False)


INPUTS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object], str]] = {
    "a zip bomb": (lambda at: zipped(at, bytes(MIB), 512), read_cifar10, "bytes unzipped"),
    "a zip bomb that lies": (lambda at: zipped(at, bytes(MIB), 512, says=1000), read_cifar10, "Bad CRC-32"),
    "a bomb of bzip2": (
        lambda at: zipped(at, bytes(MIB), 64, 1000, zipfile.ZIP_BZIP2),
        read_cifar10,
        "is zipped in another way",
    ),
    "279 TiB in an npz": (lambda at: zipped(at, HUGE), read_cifar10, "is cut short"),
    "a gzip bomb": (gzipped, load_mnist, "bytes unzipped"),
    "aliases of aliases": (described(BOMB), load_optimizer, "aliases"),
    "merges of merges": (described(MERGES), load_optimizer, "aliases"),
    "a wide layer": (described(f"{LONE}layers: [100000]"), load_optimizer, "weights"),
    "many wide layers": (described(f"{LONE}layers: [{', '.join(['2000'] * 20)}]"), load_optimizer, "weights"),
    "a tensor beyond the file": (
        of_tensors({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
        load_arrays,
        "damaged",
    ),
    "a tensor of 2^62 times nothing": (
        of_tensors({"a": {"dtype": "F32", "shape": [0, 2**62], "data_offsets": [0, 0]}}),
        load_arrays,
        "damaged",
    ),
    "many equal losses": (equal_losses, read, "at most 33554432"),
    "a wide picture": (wide_picture, lambda path: load_style(path, 8), "pixels"),
}


def peak() -> float:
    """Of this process so far, in MiB."""
    found = re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1]) / 1024


def measure(name: str, path: Path) -> tuple[str, float, float]:
    """The line with which an input is refused, by how much the peak grew, in MiB, and the seconds."""
    before, began = peak(), time.monotonic()
    try:
        INPUTS[name][1](path)
    except InputError as error:
        return str(error), peak() - before, time.monotonic() - began
    return "", peak() - before, time.monotonic() - began


@pytest.fixture(scope="module")
def process() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("name", INPUTS)
def test_what_claims_much_is_refused_in_bounded_memory_and_time(
    process: ProcessPoolExecutor, name: str, tmp_path: Path
) -> None:
    make, _, says = INPUTS[name]
    path = make(tmp_path / "it")
    line, mib, seconds = process.submit(measure, name, path).result()
    assert says in line
    assert "\n" not in line
    assert mib < MOST_MIB
    assert seconds < MOST_SECONDS
