"""Files from others: nothing in them is executed, and whatever is wrong is one line, in bounded time and memory."""

import gzip
import hashlib
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from feature_networks import images, small_vgg
from PIL import Image
from refusals import refusal

from experiments.composition.build import own_or_trusted
from experiments.composition.sweep import compare
from experiments.diagnose import read_history, read_run
from experiments.reports.trainings import trainings_table
from experiments.results.record import read_record
from experiments.results.run import Run, Spec
from experiments.results.store import MARK, ZEROS, Store, encode, read
from experiments.results.verification import check_trained
from l2l_tf.data import features, load_cifar10, load_features, load_mnist, load_style, packages, sources
from l2l_tf.data.mnist import from_idx, to_idx
from l2l_tf.errors import InputError
from l2l_tf.files import ABANDONED, load_arrays, save_arrays, write_whole
from l2l_tf.meta import Schedule, Validation
from l2l_tf.meta.checkpoint import load_checkpoint
from l2l_tf.meta.trainer import Trainer
from l2l_tf.optimizees import Simple
from l2l_tf.optimizees.vgg import FeatureNetwork
from l2l_tf.optimizers import CoordinatewiseLSTM, everything
from l2l_tf.serialization.l2l_format import export_l2l, import_l2l
from l2l_tf.serialization.plain_yaml import read_yaml, write_yaml
from l2l_tf.serialization.trained import build_optimizer, load_optimizer, read_variables, save_optimizer

# Nothing that comes from a file is executed

ROOT = Path(__file__).parent.parent
Checkpoint = dict[str, np.ndarray]
Kind = tuple[Path, bytes, Callable[[Path], object]]  # a file, its content, and how it is read

HONEST: dict[str, Any] = {
    "optimizee": {"_target_": "l2l_tf.optimizees.Simple"},
    "optimizer": {"_target_": "l2l_tf.optimizers.CoordinatewiseLSTM", "layers": [2]},
    "schedule": {"_target_": "l2l_tf.meta.Schedule", "steps": 4, "unroll": 2},
    "seed": 0,
}


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def ways(folder: Path, marker: Path) -> dict[str, dict[str, Any]]:
    """Calls that make the marker, if they are made."""
    (folder / "touch.pickle").write_bytes(pickle.dumps(Touch(marker)))
    return {
        "a pickle": {"_target_": "pandas.read_pickle", "_args_": [str(folder / "touch.pickle")]},
        "a function of this project": {
            "_target_": "experiments.results.record._git",
            "_args_": ["-c", f"alias.x=!mkdir {marker}", "x"],
        },
        "a module to be imported": {"_target_": "pathlib.Path.write_text", "_args_": [str(marker), "import os"]},
        "a directory": {"_target_": "os.mkdir", "path": str(marker)},
        "a library's function": {"_target_": "l2l_tf.files.write_whole", "path": str(marker), "content": "x"},
        "as a function for later": {"_target_": "os.mkdir", "_partial_": True, "path": str(marker)},
    }


PLACES = ("optimizee", "optimizer", "schedule", "optimizer.preprocessing", "schedule.replay", "optimizee.initial_value")


@pytest.mark.parametrize("file", [".hydra/config.yaml", "provenance.yaml"])
@pytest.mark.parametrize("place", PLACES)
def test_a_runs_configuration_executes_nothing(tmp_path: Path, place: str, file: str) -> None:
    for name, call in ways(tmp_path, tmp_path / "marker").items():
        config = json.loads(json.dumps(HONEST))
        *path, last = place.split(".")
        node = config[path[0]] if path else config
        node[last] = call
        write_whole(tmp_path / file, write_yaml({"config": config} if file == "provenance.yaml" else config))
        line = refusal(lambda: build_run(tmp_path))
        assert call["_target_"] in line, name
        assert not (tmp_path / "marker").exists()


def build_run(folder: Path, trust: tuple[str, ...] = ()) -> None:
    """What `experiments.diagnose` builds of a run."""
    from experiments.composition.build import build, training_optimizee

    run = read_run(folder, None, own_or_trusted(trust))
    build(run.config.schedule, run.resolve)
    training_optimizee(run.config, run.resolve)


def test_the_library_is_built_and_ones_own_by_name_only(tmp_path: Path) -> None:
    write_whole(tmp_path / ".hydra" / "config.yaml", write_yaml(HONEST))
    build_run(tmp_path)
    mine = HONEST | {"optimizee": {"_target_": "collections.OrderedDict"}}
    write_whole(tmp_path / ".hydra" / "config.yaml", write_yaml(mine))
    assert "or what trust=[...] lists" in refusal(lambda: build_run(tmp_path))
    build_run(tmp_path, ("collections.OrderedDict",))


@pytest.mark.parametrize(
    "value", ["${oc.env:HOME}", "${seed}${seed}", "${optimizee}", "${missing.key}x", "${oc.decode:1}"]
)
def test_interpolations_that_are_more_than_a_reference_are_refused(tmp_path: Path, value: str) -> None:
    write_whole(tmp_path / ".hydra" / "config.yaml", write_yaml(HONEST | {"name": value}))
    assert "must be a plain value, or refer to one" in refusal(lambda: build_run(tmp_path))


def test_a_reference_to_a_plain_value_is_put_in(tmp_path: Path) -> None:
    optimizer = {**HONEST["optimizer"], "seed": "${seed}"}
    write_whole(tmp_path / ".hydra" / "config.yaml", write_yaml(HONEST | {"optimizer": optimizer, "seed": 5}))
    assert read_run(tmp_path, None, own_or_trusted(())).config.optimizer.seed == 5


def test_verifying_results_of_others_executes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "trained" / "x"
    save_optimizer(folder, HONEST["optimizer"], read_variables(everything(build_optimizer(HONEST["optimizer"]))))
    from experiments.results.trained import digest

    for call in ways(tmp_path, tmp_path / "marker").values():
        record = {"trained": digest(folder), "validation_loss": 1.0, "config": HONEST | {"optimizee": call}}
        write_whole(folder / "provenance.yaml", write_yaml(record))
        (found,) = check_trained(folder, "data")
        assert call["_target_"] in found["problem"]
        assert not (tmp_path / "marker").exists()


# Descriptions of optimizers

LSTM: dict[str, Any] = {"_target_": "l2l_tf.optimizers.CoordinatewiseLSTM", "layers": [2]}
BOMB = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i}\n  <<: [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20))
LONE = "_target_: l2l_tf.optimizers.CoordinatewiseLSTM\n"
DESCRIPTIONS = {
    "brackets": ("[" * 50_000, "nested more than 20 levels"),
    "mappings": ("{a: " * 20_000, "nested more than 20 levels"),
    "itself": ("a: &a [*a]", "aliases"),
    "aliases of aliases": (BOMB, "aliases"),
    "merges of merges": (MERGES, "aliases"),
    "a wide layer": (f"{LONE}layers: [100000]", "optimizer.layers=[100000]: makes 4e+10 weights"),
    "many layers": (f"{LONE}layers: [{'1, ' * 20_000}1]", "must be a list of at most 20 layers' sizes"),
    "many groups": (
        f"_target_: l2l_tf.optimizers.ParameterGroups\ngroups: [{'{parameters: [a], optimizer: 1}, ' * 40}]",
        "must be a list of 1 to 32 groups",
    ),
    "a huge number": (f"{LONE}seed: {'9' * 90_000}", "not readable as YAML"),
    "more than 64 bits": (f"{LONE}seed: {2**70}", "beyond 64 bits"),
    "base 60": (f"{LONE}seed: {'1:' * 40_000}1", "beyond 64 bits"),
    "a date": (f"{LONE}seed: 2001-01-01", "neither text, number"),
    "no date": ("2001-99-99", "not readable as YAML"),
    "a tag": ("!!python/object/apply:os.mkdir [marker]", "could not determine a constructor"),
    "odd tags": ("!!bool x", "not readable as YAML"),
    "a key that is no text": ("1: 2", "key 1 is no text"),
    "too large": ("x" * 200_000, "must have at most 100000"),
    "a terminal's escape": (f'{LONE}dtype: "\\e[31mred"', "dtype=\\x1b[31mred"),
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_bad_description_of_an_optimizer_is_one_line(tmp_path: Path, name: str) -> None:
    content, says = DESCRIPTIONS[name]
    (tmp_path / "optimizer.yaml").write_text(content, encoding="utf-8")
    line = refusal(lambda: load_optimizer(tmp_path))
    assert line.startswith(f"{tmp_path}/optimizer.yaml")
    assert says in line
    assert len(line) < 1000


def test_texts_are_utf8_whatever_the_locale(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes("name: é φ".encode())
    code = """
import locale, sys
from pathlib import Path
from l2l_tf.data.photographs import catalogue
from l2l_tf.serialization.plain_yaml import read_yaml, write_yaml
assert locale.getpreferredencoding(False) in ("ANSI_X3.4-1968", "US-ASCII"), locale.getpreferredencoding(False)
assert read_yaml(Path(sys.argv[1])) == {"name": "\\xe9 \\u03c6"}
assert catalogue()
"""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONWARNDEFAULTENCODING": "1"}
    command = [sys.executable, "-W", "error::EncodingWarning:l2l_tf", "-c", code, str(tmp_path / "a.yaml")]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | plain, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_what_is_shared_is_written_out_so_that_it_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(write_yaml({"a": LSTM, "b": LSTM}))
    assert read_yaml(tmp_path / "a.yaml") == {"a": LSTM, "b": LSTM}


# Weights


def tensors(header: dict[str, Any], content: bytes = b"") -> bytes:
    """A safetensors file."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "F8_E8M0", "BF16", "C64", "F4", "I128"])
@pytest.mark.parametrize("shape", [[2], [0, 2**62], [2**62, 2**62, 0], [0] * 100])
def test_odd_types_and_shapes_of_tensors_are_one_line(tmp_path: Path, dtype: str, shape: list[int]) -> None:
    path = tmp_path / "x.safetensors"
    for size in (0, 1, 2, 4, 16):
        path.write_bytes(tensors({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}, bytes(size)))
        assert refusal(lambda: load_arrays(path)).startswith(str(path))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: w * np.float32(np.nan), "has values that are not finite"),
        (lambda w: w + np.float32(np.inf), "has values that are not finite"),
        (lambda w: w.astype(np.float64), "is of type float64, must be float32"),
        (lambda w: w.astype(np.int32), "is of type int32, must be float32"),
        (lambda w: w.astype(bool), "is of type bool, must be float32"),
        (lambda w: w[:-1], "the optimizer needs"),
    ],
)
def test_weights_that_are_not_an_optimizers_are_refused(
    tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], says: str
) -> None:
    save_optimizer(tmp_path, LSTM, read_variables(everything(build_optimizer(LSTM))))
    path = tmp_path / "optimizer.safetensors"
    arrays = load_arrays(path)
    save_arrays(path, arrays | {"0/w_output": change(arrays["0/w_output"])})
    line = refusal(lambda: load_optimizer(tmp_path))
    assert line.startswith(str(path))
    assert says in line


# Checkpoints whose checksum is right


def trainer(folder: Path) -> Trainer:
    """Of two rounds of one meta-update."""
    schedule = Schedule(steps=2, unroll=2, epochs=2, validation=Validation(every=1, problems=1))
    return Trainer(Simple(), Simple(), CoordinatewiseLSTM([]), schedule, 0, folder, "x")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("training")
    trainer(folder).train()
    return load_arrays(folder / "checkpoint.safetensors")


def numbers(checkpoint: Checkpoint) -> Any:
    return json.loads(checkpoint["numbers"].tobytes())


def with_numbers(checkpoint: Checkpoint, content: Any) -> Checkpoint:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return checkpoint | {"numbers": np.frombuffer(text, np.uint8)}


def _values(*values: Any) -> tuple[Any, ...]:
    return values


WRONG_NUMBERS: tuple[tuple[str, Any], ...] = (
    *(("update", wrong) for wrong in _values(-1, 1.5, "2", None, True, 1, 2**70)),
    *(("started", wrong) for wrong in _values(-1, [], None)),
    *(("best_loss", wrong) for wrong in _values("low", None, [])),
    *(("rounds_since_best", wrong) for wrong in _values(-1, "x")),
    *(("history", wrong) for wrong in _values(None, 5, [1], [{}], [{"update": 2}], {"update": 2})),
)


@pytest.mark.parametrize(("key", "value"), WRONG_NUMBERS)
def test_wrong_numbers_in_a_checkpoint_are_one_line(
    tmp_path: Path, checkpoint: Checkpoint, key: str, value: Any
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_arrays(path, with_numbers(checkpoint, numbers(checkpoint) | {key: value}))
    assert refusal(lambda: load_checkpoint(path, "x")).startswith(f"{path}: damaged")


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"\xff\xfe", b"null", b"[]", b"{}", b"1e999", b"9" * 9999])
def test_numbers_that_are_none_are_one_line(tmp_path: Path, checkpoint: Checkpoint, content: bytes) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_arrays(path, with_numbers(checkpoint, content))
    assert refusal(lambda: load_checkpoint(path, "x")).startswith(str(path))


def test_wrong_arrays_in_a_finished_checkpoint_are_one_line(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "checkpoint.safetensors"
    for name, array in checkpoint.items():
        if name != "numbers":
            for wrong in (array * np.float32(np.nan), array.astype(np.float64), array[:0]):
                save_arrays(path, checkpoint | {name: wrong})
                assert refusal(trainer(tmp_path).train).startswith(str(path)), name
            save_arrays(path, {key: value for key, value in checkpoint.items() if key != name})
            assert refusal(trainer(tmp_path).train).startswith(str(path)), name
    save_arrays(path, checkpoint | {"more": np.zeros(2, np.float32)})
    assert refusal(trainer(tmp_path).train).startswith(str(path))


# Data sets


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


HUGE = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (300000000000, 32, 32, 3)}")
LABELS = "{'descr': '<U1', 'fortran_order': False, 'shape': (2,)}"


@pytest.mark.parametrize(
    ("images", "labels", "says"),
    [
        (HUGE, b"", "train_images.npy is cut short"),
        (bytes(2**28 + 1), b"", "has more than 268435456 bytes unzipped"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", bytes(16)), b"", "must be the file that"),
        (b"no array", b"", "must be the file that"),
        (
            npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 32, 32, 3)}", bytes(6144)),
            npy(LABELS, "ab".encode("utf-32-le")),
            "labels of type <U1: must be integers from 0 to 9",
        ),
    ],
)
def test_a_cache_of_cifar10_is_read_within_bounds(tmp_path: Path, images: bytes, labels: bytes, says: str) -> None:
    (tmp_path / "cifar10").mkdir()
    with zipfile.ZipFile(tmp_path / "cifar10" / "cifar10.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("train_images.npy", images)
        file.writestr("train_labels.npy", labels)
    assert says in refusal(lambda: load_cifar10(tmp_path))


def test_idx_files_are_regular_and_of_bounded_size(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    path = tmp_path / "mnist" / "train-images-idx3-ubyte"
    os.mkfifo(path)
    assert "is a pipe or a device, must be a regular file" in refusal(lambda: load_mnist(tmp_path))
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "is a pipe or a device, must be a regular file" in refusal(lambda: load_mnist(tmp_path))
    path.unlink()
    path.mkdir()
    assert "is a folder, must be a file" in refusal(lambda: load_mnist(tmp_path))
    path.rmdir()
    with path.open("wb") as file:
        file.truncate(2**40)  # of which no block is written
    assert f"has {2**40} bytes, must have at most" in refusal(lambda: load_mnist(tmp_path))
    path.unlink()
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=9) as zipped:
        for _ in range(80):
            zipped.write(bytes(2**20))
    path.with_name(f"{path.name}.gz").write_bytes(bomb.getvalue())
    assert f"has more than {2**26} bytes unzipped" in refusal(lambda: load_mnist(tmp_path))


@pytest.mark.parametrize(
    "read_it",
    [
        lambda path: import_l2l(path, path / "imported"),
        lambda path: load_style(path, 8),
        load_arrays,
        load_features,
        read,
        read_yaml,
        read_history,
    ],
)
def test_a_folder_or_a_pipe_in_the_place_of_a_file_is_one_line(
    tmp_path: Path, read_it: Callable[[Path], object]
) -> None:
    assert refusal(lambda: read_it(tmp_path)) == f"{tmp_path}: is a folder, must be a file"
    os.mkfifo(tmp_path / "pipe")
    assert refusal(lambda: read_it(tmp_path / "pipe")).endswith("pipe: is a pipe or a device, must be a regular file")


# Runs


SPEC = Spec({"_target_": "a"}, {"_target_": "b"}, "test", 0, 2, 3)


def signed(content: bytes) -> bytes:
    """A run's file with its checksum made right again."""
    place = content.rfind(MARK) + len(MARK)
    blank = content[:place] + ZEROS + content[place + 64 :]
    return content[:place] + hashlib.sha256(blank).hexdigest().encode() + content[place + 64 :]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"steps": 3', b'"steps": 9'),
        (b'"steps": 3', b'"steps":-1'),
        (b'"problems": 2', b'"problems":1e9'),
        (b'"keep_last": null', b'"keep_last": "no"'),
        (b'"stream": "test"', b'"stream": ["a"]'),
        (b'"mean": false', b'"mean": 12345'),
        (b'"spec": {', b'"spec": 5,{'),
        (b'"seed": 0', b'"seed": {'),
    ],
)
def test_a_run_with_a_right_checksum_and_a_wrong_content_is_one_line(tmp_path: Path, old: bytes, new: bytes) -> None:
    content = encode(Run(SPEC, np.zeros((2, 4), np.float32), np.zeros(4, np.float32)))
    assert content.count(old) == 1
    path = tmp_path / "x.parquet"
    path.write_bytes(signed(content.replace(old, new.ljust(len(old))[: len(old)])))
    assert refusal(lambda: read(path)).startswith(str(path))


# Every kind of file, with bits flipped and cut short

DAMAGED = 500  # times, each kind of file


def damages(content: bytes) -> Iterator[bytes]:
    """The content cut short somewhere, and with one to three bits flipped, in turn."""
    rng = np.random.default_rng(0)
    for number in range(DAMAGED):
        damaged = bytearray(content)
        if number % 2:
            del damaged[int(rng.integers(len(content))) :]
        else:
            for place in rng.integers(len(content), size=int(rng.integers(1, 4))):
                damaged[place] ^= 1 << int(rng.integers(8))
        yield bytes(damaged)


def optimizer_file(folder: Path, _: Checkpoint) -> Kind:
    content = write_yaml({"_target_": "l2l_tf.optimizers.Adam", "learning_rate": 0.1})
    return folder / "optimizer.yaml", content, lambda path: build_optimizer(read_mapping(path))


def read_mapping(path: Path) -> dict[str, Any]:
    found = read_yaml(path)
    if not isinstance(found, dict):
        raise InputError(f"{path}: must hold a mapping")
    return found


def arrays_file(folder: Path, _: Checkpoint) -> Kind:
    save_arrays(folder / "arrays", {"a": np.arange(4.0), "b": np.ones((2, 2), np.float32)})
    return folder / "arrays", (folder / "arrays").read_bytes(), load_arrays


def features_file(folder: Path, _: Checkpoint) -> Kind:
    path = folder / "own.safetensors"
    save_arrays(path, small_vgg())
    return path, path.read_bytes(), lambda path: FeatureNetwork(load_features(path))


def checkpoint_file(folder: Path, checkpoint: Checkpoint) -> Kind:
    save_arrays(folder / "checkpoint", checkpoint)
    return folder / "checkpoint", (folder / "checkpoint").read_bytes(), lambda path: load_checkpoint(path, "x")


def numbers_file(folder: Path, checkpoint: Checkpoint) -> Kind:
    def load(path: Path) -> Any:
        save_arrays(folder / "signed", with_numbers(checkpoint, path.read_bytes()))
        return load_checkpoint(folder / "signed", "x")

    return folder / "numbers", checkpoint["numbers"].tobytes(), load


def configuration_file(folder: Path, _: Checkpoint) -> Kind:
    return folder / ".hydra" / "config.yaml", write_yaml(HONEST), lambda _: build_run(folder)


def record_file(folder: Path, _: Checkpoint) -> Kind:
    config = HONEST | {"name": "x", "schedule": {**HONEST["schedule"], "replay": {"fraction": 1.0}}}
    run = folder / "trained" / "x"
    write_whole(run / "history.csv", HISTORY)
    origin = {"seconds": 1.0, "revisions": ["0123456789+"], "validation_loss": 0.5, "config": config}

    def load(path: Path) -> Any:
        read_record(path)
        check_trained(run, "data")
        return trainings_table(folder)

    save_optimizer(run, HONEST["optimizer"], {})
    return run / "provenance.yaml", write_yaml(origin), load


HISTORY = b"update,epoch,meta_loss,validation_loss,learning_rate,seconds\n2,1,0.5,0.25,0.1,1.5\n4,2,0.4,inf,0.1,1.5\n"


def history_file(folder: Path, _: Checkpoint) -> Kind:
    return folder / "history.csv", HISTORY, lambda path: (read_history(path), compare(folder))


def run_file(folder: Path, _: Checkpoint) -> Kind:
    path = Store(folder).write(Run(SPEC, np.zeros((2, 4), np.float32), np.zeros(4, np.float32)))
    return path, path.read_bytes(), read


def signed_run_file(folder: Path, _: Checkpoint) -> Kind:
    path, content, _load = run_file(folder, _)

    def load(path: Path) -> Any:
        damaged = path.read_bytes()
        if MARK in damaged:
            path.write_bytes(signed(damaged))
        return read(path)

    return path, content, load


def idx_file(folder: Path, _: Checkpoint) -> Kind:
    images = np.arange(24 * 16, dtype=np.uint8).reshape(24, 4, 4)
    return folder / "images", to_idx(images), lambda path: from_idx(path, path.read_bytes(), 3)


def gzip_file(folder: Path, _: Checkpoint) -> Kind:
    write_whole(folder / "mnist" / "t10k-images-idx3-ubyte", to_idx(np.zeros((24, 4, 4))))
    content = gzip.compress(to_idx(np.arange(24) % 10), mtime=0)
    return folder / "mnist" / "t10k-labels-idx1-ubyte.gz", content, lambda _: load_mnist(folder, "test", verify=False)


def python_batch(folder: Path, _: Checkpoint) -> Kind:
    content = pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 2]}, 2)
    return folder / "cifar-10-batches-py" / "test_batch", content, lambda _: load_cifar10(folder, "test", verify=False)


def binary_batch(folder: Path, _: Checkpoint) -> Kind:
    path = folder / "cifar-10-batches-bin" / "test_batch.bin"
    return path, bytes(2 * 3073), lambda _: load_cifar10(folder, "test", verify=False)


def npz_file(folder: Path, _: Checkpoint) -> Kind:
    content = io.BytesIO()
    np.savez_compressed(content, test_images=np.zeros((2, 4, 4, 3), np.uint8), test_labels=np.array([1, 2], np.uint8))
    path = folder / "cifar10" / "cifar10.npz"
    return path, content.getvalue(), lambda _: load_cifar10(folder, "test", verify=False)


def released_file(folder: Path, _: Checkpoint) -> Kind:
    save_optimizer(folder / "lstm", LSTM, read_variables(everything(build_optimizer(LSTM))))
    export_l2l(folder / "lstm", folder / "a.l2l")
    content = (folder / "a.l2l").read_bytes()
    return folder / "a.l2l", content, lambda path: import_l2l(path, folder / "imported", preprocessing="identity")


def picture(kind: str) -> Callable[[Path, Checkpoint], Kind]:
    def made(folder: Path, _: Checkpoint) -> Kind:
        content = io.BytesIO()
        Image.fromarray(images(1, 16)[0]).save(content, kind)
        return folder / f"a.{kind}", content.getvalue(), lambda path: load_style(path, 8)

    return made


def debian_package(folder: Path, _: Checkpoint) -> Kind:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("./a.png"), io.BytesIO())
    return folder / "files.tar", content.getvalue(), downloaded(lambda: packages.debian_package("some", ["a.png"]))


def wheel(folder: Path, _: Checkpoint) -> Kind:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", b"picture")
    return folder / "some.whl", content.getvalue(), downloaded(lambda: packages.python_package("some", ["a.png"]))


def downloaded(load: Callable[[], object]) -> Callable[[Path], object]:
    """Loads a package whose download leaves a file."""

    def load_it(path: Path) -> object:
        def run(command: list[str], folder: str, output: str | None = None) -> None:
            (Path(folder) / (output or f"a{'.whl' if 'pip' in command else '.deb'}")).write_bytes(path.read_bytes())

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(packages, "_run", run)
            return load()

    return load_it


def vgg16_weights(folder: Path, _: Checkpoint) -> Kind:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for block, layer in features._layers("vgg16"):
            group = file.create_group(f"block{block}/layers/conv2d{f'_{layer - 1}' if layer > 1 else ''}/vars")
            group["0"], group["1"] = np.ones((3, 3, 3, 2), np.float32), np.ones(2, np.float32)

    def load(path: Path) -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(features, "python_package", lambda *_: {features.MEMBER: path.read_bytes()})
            patch.setattr(features, "SHA256", hashlib.sha256(content.getvalue()).hexdigest())
            return features._vgg16()

    return folder / "weights.h5", content.getvalue(), load


def npm_archive(folder: Path, _: Checkpoint) -> Kind:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("package/a.png"), io.BytesIO())
    digest = hashlib.sha256(content.getvalue()).hexdigest()

    def load(path: Path) -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sources, "_npm_pack", lambda *_: path)
            return sources.npm_package("some", digest, ["a.png"])

    return folder / "some.tgz", content.getvalue(), load


KINDS: dict[str, Callable[[Path, Checkpoint], Kind]] = {
    "optimizer.yaml": optimizer_file,
    "safetensors": arrays_file,
    "feature network": features_file,
    "checkpoint": checkpoint_file,
    "a checkpoint's numbers, signed": numbers_file,
    ".hydra/config.yaml": configuration_file,
    "provenance.yaml": record_file,
    "history.csv": history_file,
    "run": run_file,
    "run, signed": signed_run_file,
    "idx": idx_file,
    "gzip": gzip_file,
    "python batch": python_batch,
    "binary batch": binary_batch,
    "npz": npz_file,
    "l2l": released_file,
    "a Debian package's files": debian_package,
    "wheel": wheel,
    "VGG-16's weights": vgg16_weights,
    "npm archive": npm_archive,
    **{kind: picture(kind) for kind in ("jpeg", "png", "webp")},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits_and_truncations_end_in_nothing_but_clear_lines(
    tmp_path: Path, checkpoint: Checkpoint, kind: str
) -> None:
    path, content, load = KINDS[kind](tmp_path, checkpoint)
    write_whole(path, content)
    load(path)
    refused = 0
    for damaged in damages(content):
        path.write_bytes(damaged)
        line = refusal_or_none(lambda: load(path))
        assert line is None or ("\n" not in line and len(line) < 1000)
        refused += line is not None
    assert refused > 0


def refusal_or_none(call: Callable[[], object]) -> str | None:
    """The line of the `InputError` that the call raises, if it raises one."""
    try:
        call()
    except InputError as error:
        return str(error)
    return None


# What killed writers leave


def test_temporary_files_of_killed_writers_are_removed_and_no_others(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in (f".{'0' * 32}.tmp", f".{'1' * 32}.tmp", ".mine.tmp"))
    for path in (old, new, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (0, os.stat(path).st_mtime - ABANDONED - 1))
    write_whole(tmp_path / "x", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([new.name, other.name, "x"])
