"""What is stored: arrays that know whether they are intact, checkpoints, trained optimizers."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from refusals import refusal

from l2l_tf.files import load_arrays, save_arrays, write_whole
from l2l_tf.meta.checkpoint import ROUND, Checkpoint, load_checkpoint, save_checkpoint
from l2l_tf.optimizers import SGD, Adam, CoordinatewiseLSTM, ParameterGroups, everything
from l2l_tf.serialization.trained import build_optimizer, load_optimizer, read_variables, save_optimizer

# Written whole or not at all


def test_a_file_is_written_with_its_folders_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "below" / "further" / "file.txt"
    for content in (b"one", memoryview(b"two")):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["file.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["pathlib.Path.write_bytes", "os.replace"])
def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(temporary: Path, _: object) -> None:
        temporary.write_text("half")
        raise error

    monkeypatch.setattr(step, fail)
    if isinstance(error, OSError):
        assert refusal(lambda: write_whole(path, b"new")) == f"{path}: cannot be written (No space left on device)"
    else:
        with pytest.raises(KeyboardInterrupt):
            write_whole(path, b"new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_file_in_the_place_of_its_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "below.txt"
    assert refusal(lambda: write_whole(path, b"")).startswith(f"{path}: cannot be written (")


def test_a_written_file_may_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    save_arrays(tmp_path / "arrays.safetensors", {})
    (tmp_path / "plain").touch()
    assert (tmp_path / "arrays.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


# Arrays


@given(
    st.dictionaries(
        st.text("abc/_0", min_size=1, max_size=8),
        arrays_of.arrays(
            st.sampled_from([np.float32, np.float64, np.int32, np.uint8]),
            arrays_of.array_shapes(min_dims=0, max_side=4),
        ),
        max_size=4,
    )
)
def test_arrays_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]) -> None:
    path = tmp_path_factory.mktemp("arrays") / "arrays.safetensors"
    save_arrays(path, arrays)
    loaded = load_arrays(path)
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        assert (loaded[name].dtype, loaded[name].shape) == (array.dtype, array.shape)
        assert loaded[name].tobytes() == array.tobytes()


def test_transposed_arrays_are_stored_in_their_own_order(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3).T
    save_arrays(tmp_path / "a.safetensors", {"a": array})
    np.testing.assert_array_equal(load_arrays(tmp_path / "a.safetensors")["a"], array)


def test_the_same_arrays_are_the_same_bytes(tmp_path: Path) -> None:
    arrays = {"a": np.arange(3.0), "b": np.ones((2, 2), np.float32)}
    save_arrays(tmp_path / "1", arrays)
    save_arrays(tmp_path / "2", dict(reversed(arrays.items())))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "arrays.safetensors"
    save_arrays(path, {"a": np.arange(5, dtype=np.float32)})
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert "damaged" in refusal(lambda: load_arrays(path))


@pytest.mark.parametrize("flipped", [0x01, 0x80, 0xFF])
def test_a_damaged_byte_is_noticed_wherever_it_is(tmp_path: Path, flipped: int) -> None:
    path = tmp_path / "arrays.safetensors"
    save_arrays(path, {"a": np.arange(5, dtype=np.float32)})
    content = path.read_bytes()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= flipped
        path.write_bytes(damaged)
        assert "damaged" in refusal(lambda: load_arrays(path)), position


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(lambda: load_arrays(tmp_path / "none.safetensors")) == f"{tmp_path}/none.safetensors: no such file"


# Checkpoints

CHECKPOINT = Checkpoint(
    fingerprint="abc",
    update=10,
    started=3,
    weights={"0/w": np.array([[1.5, -2.0]], np.float32)},
    adam_m={"0/w": np.array([[0.1, 0.2]], np.float32)},
    adam_v={"0/w": np.array([[0.3, 0.4]], np.float32)},
    best_weights={"0/w": np.array([[7.0, 8.0]], np.float32)},
    best_loss=0.1 + 0.2,
    rounds_since_best=2,
    history=[dict.fromkeys(ROUND, 1 / 3) | {"update": 5}, dict.fromkeys(ROUND, 0.5) | {"update": 10}],
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, CHECKPOINT)
    return path


def test_a_checkpoint_comes_back_to_the_last_digit(checkpoint: Path) -> None:
    loaded = vars(load_checkpoint(checkpoint, "abc"))
    for name, value in vars(CHECKPOINT).items():
        if name in ("weights", "adam_m", "adam_v", "best_weights"):
            np.testing.assert_array_equal(loaded[name]["0/w"], value["0/w"])
        else:
            assert loaded[name] == value


def test_a_checkpoint_of_another_configuration_is_refused(checkpoint: Path) -> None:
    line = refusal(lambda: load_checkpoint(checkpoint, "other"))
    assert line.startswith(str(checkpoint))
    assert "another configuration" in line


def test_a_damaged_number_in_a_checkpoint_is_noticed(checkpoint: Path) -> None:
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content.replace(b'"update": 10', b'"update": 11'))
    assert checkpoint.read_bytes() != content
    assert "damaged" in refusal(lambda: load_checkpoint(checkpoint, "abc"))


def test_arrays_that_are_no_checkpoint_are_refused(checkpoint: Path) -> None:
    save_arrays(checkpoint, {"0/w": np.ones(3)})
    assert "not a checkpoint" in refusal(lambda: load_checkpoint(checkpoint, "abc"))
    save_arrays(checkpoint, {"numbers": np.frombuffer(b'{"update": 1}', np.uint8)})
    assert "not a checkpoint" in refusal(lambda: load_checkpoint(checkpoint, "abc"))


# Trained optimizers

LSTM: dict[str, Any] = {
    "_target_": "l2l_tf.optimizers.CoordinatewiseLSTM",
    "layers": [3, 2],
    "preprocessing": {"_target_": "l2l_tf.optimizers.LogAndSign", "p": 5.0},
    "output_scale": 0.5,
    "seed": 4,
}
GROUPS: dict[str, Any] = {
    "_target_": "l2l_tf.optimizers.ParameterGroups",
    "groups": [
        {"parameters": ["x"], "optimizer": LSTM},
        {"parameters": ["y"], "optimizer": {"_target_": "l2l_tf.optimizers.CoordinatewiseLSTM", "layers": []}},
        {"parameters": ["z"], "optimizer": {"_target_": "l2l_tf.optimizers.Adam", "learning_rate": 0.1}},
    ],
}


def updates(optimizer: ParameterGroups, steps: int = 4) -> list[np.ndarray]:
    """Updates of x, y and z under some gradients."""
    optimizer = ParameterGroups(optimizer.groups, compile=False)
    gradients = {"x": tf.constant([[1.0, -0.5]]), "y": tf.constant(0.25), "z": tf.constant([3.0])}
    state = optimizer.init(gradients)
    results = []
    for _ in range(steps):
        update, state = optimizer.update(gradients, state)
        results += [tensor.numpy() for tensor in update.values()]
    return results


def trained(config: Mapping[str, Any]) -> ParameterGroups:
    """An optimizer whose weights are not those that its seed gives."""
    optimizer = everything(build_optimizer(config))
    for number, variable in enumerate(optimizer.trainable_variables):
        variable.assign(tf.random.stateless_normal(variable.shape, [number, 1]))
    return optimizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_optimizer(tmp_path / "trained", LSTM, read_variables(trained(LSTM)))
    return tmp_path / "trained"


@pytest.mark.parametrize("config", [LSTM, GROUPS])
def test_a_loaded_optimizer_gives_the_same_updates(tmp_path: Path, config: dict[str, Any]) -> None:
    optimizer = trained(config)
    save_optimizer(tmp_path, config, read_variables(optimizer))
    for one, other in zip(updates(load_optimizer(tmp_path)), updates(optimizer), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_tensors_are_named_by_group_and_layer() -> None:
    assert set(read_variables(everything(build_optimizer(GROUPS)))) == {
        *(f"0/lstm_{k}/{kind}_gates" for k in (1, 2) for kind in "wb"),
        *(f"{group}/{kind}_output" for group in (0, 1) for kind in "wb"),
    }


def test_the_names_do_not_depend_on_the_scope_in_which_an_optimizer_is_made(folder: Path) -> None:
    alone = read_variables(load_optimizer(folder))
    with tf.name_scope("x"), tf.name_scope("y"):
        within = read_variables(load_optimizer(folder))
        assert list(within) == list(alone)
        save_optimizer(folder, LSTM, within)
    for name, array in read_variables(load_optimizer(folder)).items():
        np.testing.assert_array_equal(array, alone[name])


def test_variables_of_one_name_are_told_apart() -> None:
    class Scaled(SGD):
        trainable_variables = (tf.Variable(1.0), tf.Variable(2.0), tf.Variable(3.0, name="scale"))

    arrays = read_variables(everything(Scaled(0.1)))
    assert {name: float(array) for name, array in arrays.items()} == {
        "0/Variable:0": 1.0,
        "0/Variable:1": 2.0,
        "0/scale": 3.0,
    }


def test_a_folder_without_an_optimizer_is_named(tmp_path: Path, folder: Path) -> None:
    assert str(tmp_path / "none") in refusal(lambda: load_optimizer(tmp_path / "none"))
    (folder / "optimizer.safetensors").unlink()
    assert refusal(lambda: load_optimizer(folder)) == f"{folder}/optimizer.safetensors: no such file"
    (folder / "optimizer.yaml").unlink()
    assert "optimizer.yaml is missing" in refusal(lambda: load_optimizer(folder))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"layers: [3, 2", "not readable as YAML"),
        (b"\xff\xfe\x00", "not readable as YAML"),
        (b"a: !!python/object/apply:os.system [true]", "not readable as YAML"),
        (b"- 1\n- 2\n", "must hold a mapping"),
        (b"", "must hold a mapping"),
        (b"layers: [3, 2]\n", "optimizer=dict: must be of type CoordinatewiseOptimizer"),
    ],
)
def test_a_damaged_configuration_is_refused(folder: Path, content: bytes, says: str) -> None:
    (folder / "optimizer.yaml").write_bytes(content)
    line = refusal(lambda: load_optimizer(folder))
    assert line.startswith(str(folder / "optimizer.yaml"))
    assert says in line


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"_target_": "os.system"}, "_target_=os.system"),
        ({"_target_": "l2l_tf.optimizers.hand_designed.Adam"}, "must be"),
        ({"_target_": "Adam"}, "must be"),
        ({"_target_": "l2l_tf.optimizers.Identity", "layers": None}, "Identity"),
        ({"layers": [0]}, "optimizer.layers=0"),
        ({"layers": 3}, "optimizer.layers=3: must be a list"),
        ({"preprocessing": {"_target_": "subprocess.run", "args": "true"}}, "_target_=subprocess.run"),
        ({"preprocessing": {"_target_": "l2l_tf.optimizers.LogAndSign", "p": -1}}, "preprocessing.p=-1"),
        ({"preprocessing": 5}, "optimizer.preprocessing=5: must be of type Preprocessing"),
        (
            {"momentum": 0.9},
            "optimizer.momentum=0.9: l2l_tf.optimizers.CoordinatewiseLSTM has no such argument; it has",
        ),
        ({"dtype": "float33"}, "float33"),
    ],
)
def test_a_configuration_of_something_else_is_refused(folder: Path, change: dict[str, Any], says: str) -> None:
    (folder / "optimizer.yaml").write_text(yaml.safe_dump(LSTM | change))
    line = refusal(lambda: load_optimizer(folder))
    assert line.startswith(str(folder / "optimizer.yaml"))
    assert says in line


def test_a_configuration_of_no_optimizer_is_refused() -> None:
    line = refusal(lambda: build_optimizer({"_target_": "l2l_tf.optimizers.Identity"}))
    assert line == "optimizer=Identity: must be of type CoordinatewiseOptimizer or CoupledOptimizer or ParameterGroups"


def test_damaged_weights_are_refused(folder: Path) -> None:
    path = folder / "optimizer.safetensors"
    content = path.read_bytes()
    for damaged in (content[:-1], content[:20], b"", content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]):
        path.write_bytes(damaged)
        line = refusal(lambda: load_optimizer(folder))
        assert line.startswith(str(path))
        assert "damaged" in line


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    (folder / "optimizer.yaml").write_text(yaml.safe_dump(LSTM | {"layers": [3, 3]}))
    line = refusal(lambda: load_optimizer(folder))
    assert re.search(r"'0/lstm_2/w_gates': \(8, 5\).*needs.*'0/lstm_2/w_gates': \(12, 6\)", line)


def test_weights_for_an_optimizer_that_has_none_are_refused(folder: Path) -> None:
    (folder / "optimizer.yaml").write_text(yaml.safe_dump({"_target_": "l2l_tf.optimizers.Adam", "learning_rate": 0.1}))
    assert "the optimizer needs {}" in refusal(lambda: load_optimizer(folder))
    assert isinstance(build_optimizer({"_target_": "l2l_tf.optimizers.Adam", "learning_rate": 0.1}), Adam)
    assert isinstance(build_optimizer(LSTM), CoordinatewiseLSTM)
