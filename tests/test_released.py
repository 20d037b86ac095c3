"""The released code's files: read without running them, imported, exported, or refused."""

import builtins
import collections
import io
import os
import pickle
import shlex
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.commands import run
from l2l_tf.errors import InputError
from l2l_tf.optimizers import everything
from l2l_tf.serialization import export_l2l, import_l2l, unpickler
from l2l_tf.serialization.l2l_format import export_l2l as export
from l2l_tf.serialization.l2l_format import read_arrays
from l2l_tf.serialization.trained import build_optimizer, load_optimizer, read_variables, save_optimizer

Arrays = dict[str, dict[str, Any]]
PUBLIC = Path(__file__).parent / "data"


def released(sizes: tuple[int, ...] = (20, 20), features: int = 2) -> Arrays:
    rng = np.random.default_rng(0)
    arrays: Arrays = {}
    inputs = [features, *sizes]
    for k, size in enumerate(sizes):
        arrays[f"lstm_{k + 1}"] = {
            "w_gates": rng.normal(size=[inputs[k] + size, 4 * size], scale=0.5).astype(np.float32),
            "b_gates": rng.normal(size=[4 * size], scale=0.5).astype(np.float32),
        }
    arrays["linear"] = {
        "w": rng.normal(size=[inputs[-1], 1]).astype(np.float32),
        "b": rng.normal(size=[1]).astype(np.float32),
    }
    return arrays


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def as_defaultdict(arrays: Arrays) -> Any:
    result: Any = collections.defaultdict(dict)
    for module, variables in arrays.items():
        result[module].update(variables)
    return result


def same(found: Arrays, wanted: Arrays) -> bool:
    pairs = [(found[module][name], array) for module, named in wanted.items() for name, array in named.items()]
    return found.keys() == wanted.keys() and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs
    )


def python_2_pickle(arrays: Arrays, text: bool, module: bytes = b"dill.dill", type_: bytes = b"DictType") -> bytes:
    """What Python 2's dill of 2016 wrote: byte strings, other names; protocol 0 if `text`, else 2."""
    out = io.BytesIO()

    def string(value: bytes) -> bytes:
        if text:
            return b"S'" + b"".join(b"\\x%02x" % byte for byte in value) + b"'\n"
        return b"T" + struct.pack("<i", len(value)) + value

    def integers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"I%d\n" % value for value in values) + b"t"

    out.write(b"" if text else b"\x80\x02")
    out.write(b"ccollections\ndefaultdict\np0\n(c" + module + b"\n_load_type\np1\n(" + string(type_) + b"tRtRp2\n")
    for layer, variables in arrays.items():
        out.write(string(layer.encode()) + b"(dp3\n")
        for name, array in variables.items():
            out.write(string(name.encode()) + b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n")
            out.write(integers((0,)) + string(b"b") + b"tR(I1\n" + integers(array.shape))
            out.write(b"cnumpy\ndtype\n(" + string(b"f4") + b"I0\nI1\ntR(I3\n" + string(b"<") + b"NNNI-1\nI-1\nI0\ntb")
            out.write(b"I00\n" + string(array.tobytes()) + b"tbs")
        out.write(b"s")
    return out.getvalue() + b"."


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("convert", [dict, as_defaultdict])
def test_files_of_dill_are_read(convert: Callable[[Arrays], Any], protocol: int, tmp_path: Path) -> None:
    arrays = released()
    arrays["lstm_1"]["w_gates"] = np.asfortranarray(arrays["lstm_1"]["w_gates"])
    found = read_arrays(write(tmp_path / "a.l2l", dill.dumps(convert(arrays), protocol=protocol)))
    assert same(found, arrays)


@pytest.mark.parametrize("protocol", range(6))
def test_files_of_pickle_are_read(protocol: int, tmp_path: Path) -> None:
    assert same(read_arrays(write(tmp_path / "a.l2l", pickle.dumps(released(), protocol))), released())
    keys = {module.encode(): {k.encode(): v for k, v in named.items()} for module, named in released().items()}
    assert same(read_arrays(write(tmp_path / "b.l2l", pickle.dumps(keys, protocol))), released())


@pytest.mark.parametrize("text", [False, True])
def test_files_of_python_2_are_read(text: bool, tmp_path: Path) -> None:
    content = python_2_pickle(released(), text, b"dill._dill", b"dict")
    assert same(pickle.loads(content, encoding="latin1"), released())  # the sample itself is sound
    assert same(read_arrays(write(tmp_path / "a.l2l", content)), released())
    assert same(read_arrays(write(tmp_path / "b.l2l", python_2_pickle(released(), text))), released())


@pytest.mark.parametrize("dill_module", [b"dill.dill", b"dill._dill"])
@pytest.mark.parametrize("core", [b"numpy.core.", b"numpy._core."])
@pytest.mark.parametrize("module", [b"multiarray", b"_multiarray_umath"])
def test_reconstruct_reached_by_attribute_is_read(
    dill_module: bytes, core: bytes, module: bytes, tmp_path: Path
) -> None:
    """Dill stores a built-in function of a module as `_get_attr(_import_module(module), name)`."""
    dill_name = b"c" + dill_module
    by_attribute = (
        dill_name + b"\n_get_attr\n(" + dill_name + b"\n_import_module\n(V" + core + module + b"\ntRV_reconstruct\ntR"
    )
    content = python_2_pickle(released(), False).replace(b"cnumpy.core.multiarray\n_reconstruct\n", by_attribute)
    assert same(read_arrays(write(tmp_path / "a.l2l", content)), released())


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def read_with_dill(file: Path) -> Arrays:
    """A trusted file, by dill itself, in float64; NumPy 2 still knows the modules' old names."""
    found = dill.loads(file.read_bytes())
    return {m: {name: array.astype(np.float64) for name, array in named.items()} for m, named in found.items()}


def transcribed_step(arrays: Arrays, state: list[tuple[np.ndarray, np.ndarray]], gradients: np.ndarray) -> np.ndarray:
    """The released code's equations, coordinates first, in float64; `state` is changed in place."""
    epsilon, p = np.finfo(np.float32).eps, 5.0
    logarithm = np.maximum(np.log(np.abs(gradients) + epsilon) / p, -1.0)
    x = np.stack([logarithm, np.clip(gradients * np.exp(p), -1.0, 1.0)], axis=1)
    for k, (h, c) in enumerate(state):
        layer = arrays[f"lstm_{k + 1}"]
        i, j, f, o = np.split(np.concatenate([x, h], axis=1) @ layer["w_gates"] + layer["b_gates"], 4, axis=1)
        c = sigmoid(f + 1.0) * c + sigmoid(i) * np.tanh(j)
        x = sigmoid(o) * np.tanh(c)
        state[k] = (x, c)
    return 0.01 * (x @ arrays["linear"]["w"] + arrays["linear"]["b"])[:, 0]


def transcribed_rnnprop_step(arrays: Arrays, state: dict[str, Any], gradients: np.ndarray) -> np.ndarray:
    """RNNprop's equations, coordinates first, in float64; `state` is changed in place."""
    state["t"] += 1
    for name, power in (("m", 1), ("v", 2)):
        state[name] = 0.95 * state[name] + 0.05 * gradients**power
    correction = 1 - 0.95 ** state["t"]
    root = np.sqrt(state["v"] / correction) + 1e-8
    x = np.stack([state["m"] / correction / root, gradients / root], axis=1)
    x = x @ arrays["input_projection"]["w"] + arrays["input_projection"]["b"]
    x = np.where(x > 0, x, np.expm1(x))
    for k, (h, c) in enumerate(state["layers"]):
        layer = arrays[f"lstm_{k + 1}"]
        i, j, f, o = np.split(np.concatenate([x, h], axis=1) @ layer["w_gates"] + layer["b_gates"], 4, axis=1)
        c = sigmoid(f + 1.0) * c + sigmoid(i) * np.tanh(j)
        x = sigmoid(o) * np.tanh(c)
        state["layers"][k] = (x, c)
    return 0.01 * np.tanh(x @ arrays["linear"]["w"] + arrays["linear"]["b"])[:, 0]


def assert_steps(folder: Path, expected: Callable[[np.ndarray], np.ndarray], steps: int) -> None:
    """The optimizer in a folder makes the expected updates of 30 coordinates, gradients of many sizes and zeros."""
    optimizer = load_optimizer(folder)
    rng = np.random.default_rng(1)
    state = optimizer.init({"x": tf.zeros([30])})
    for _ in range(steps):
        gradients = (rng.normal(size=30) * 10.0 ** rng.uniform(-6, 2, size=30)).astype(np.float32)
        gradients[0] = 0.0
        updates, state = optimizer.update({"x": tf.constant(gradients)}, state)
        np.testing.assert_allclose(updates["x"], expected(gradients.astype(np.float64)), atol=1e-6)


def zeros(sizes: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.zeros([30, size]), np.zeros([30, size])) for size in sizes]


@pytest.mark.parametrize("sizes", [(20, 20), (7,), (5, 9, 3)])
def test_imported_step_is_the_released_codes(sizes: tuple[int, ...], tmp_path: Path) -> None:
    file = write(tmp_path / "net.l2l", dill.dumps(as_defaultdict(released(sizes))))
    import_l2l.command([str(file), str(tmp_path / "imported")])
    arrays, state = read_with_dill(file), zeros(sizes)
    assert_steps(tmp_path / "imported", lambda gradients: transcribed_step(arrays, state, gradients), 5)


def test_public_file_of_an_lstm(tmp_path: Path) -> None:
    import_l2l.command([str(PUBLIC / "dm_aug.l2l"), str(tmp_path / "imported")])
    arrays, state = read_with_dill(PUBLIC / "dm_aug.l2l"), zeros((20, 20))
    assert_steps(tmp_path / "imported", lambda gradients: transcribed_step(arrays, state, gradients), 20)


def test_public_file_of_rnnprop(tmp_path: Path) -> None:
    import_l2l.command([str(PUBLIC / "rnnprop.l2l"), str(tmp_path / "imported")])
    arrays = read_with_dill(PUBLIC / "rnnprop.l2l")
    state = {"t": 0, "m": np.zeros(30), "v": np.zeros(30), "layers": zeros((20, 20))}
    assert_steps(tmp_path / "imported", lambda gradients: transcribed_rnnprop_step(arrays, state, gradients), 20)


LSTM = {"_target_": "l2l_tf.optimizers.CoordinatewiseLSTM", "layers": [6], "output_scale": 0.03}
LOG_AND_SIGN = {"_target_": "l2l_tf.optimizers.LogAndSign", "p": 7.5, "smoothing": 3e-5}
RNNPROP = {"_target_": "l2l_tf.optimizers.RNNprop", "layers": [6, 5], "projection": 3, "decay": 0.9, "epsilon": 1e-6}


@pytest.mark.parametrize("config", [LSTM, LSTM | {"preprocessing": LOG_AND_SIGN}, RNNPROP | {"output_scale": 0.02}])
def test_export_prints_the_command_that_restores_every_setting(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_optimizer(tmp_path / "mine", config, read_variables(everything(build_optimizer(config))))
    export_l2l.command(["mine", "mine.l2l"])
    program, *arguments = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert program == "l2l-import"
    import_l2l.command(arguments)
    again = load_optimizer(tmp_path / "mine_imported")
    assert same({"": read_variables(again)}, {"": read_variables(load_optimizer(tmp_path / "mine"))})
    gradients = {"x": tf.constant([0.0, 1e-5, -1e-2, 3.0])}
    updates = [m.update(gradients, m.init(gradients))[0]["x"] for m in (again, load_optimizer(tmp_path / "mine"))]
    np.testing.assert_array_equal(*updates)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        (released((5,), features=1), [], "1 input feature.*must be preprocessing=identity"),
        (released((), features=1), [], "linear/w has shape"),
        (released((5,)), ["--preprocessing", "identity"], "2 input feature.*must be preprocessing=log_and_sign"),
        (released((5,), features=18) | {"linear": {"w": np.zeros([5, 9], np.float32)}}, [], "KernelDeepLSTM"),
    ],
)
def test_files_say_what_they_are(arrays: Arrays, options: list[str], message: str, tmp_path: Path) -> None:
    write(tmp_path / "net.l2l", pickle.dumps(arrays))
    with pytest.raises(InputError, match=message):
        import_l2l.command([str(tmp_path / "net.l2l"), str(tmp_path / "out"), *options])


def test_export_then_import_keeps_every_byte(tmp_path: Path) -> None:
    lstm = {"_target_": "l2l_tf.optimizers.CoordinatewiseLSTM", "layers": [6, 4]}
    config = {
        "_target_": "l2l_tf.optimizers.ParameterGroups",
        "groups": [
            {"optimizer": lstm | {"seed": 3}, "parameters": ["a"]},
            {"optimizer": lstm | {"layers": []}, "parameters": ["b"]},
        ],
    }
    weights = read_variables(everything(build_optimizer(config)))
    save_optimizer(tmp_path / "two", config, weights)
    for group in range(2):
        file, folder = tmp_path / f"{group}.l2l", tmp_path / f"imported_{group}"
        export_l2l.command([str(tmp_path / "two"), str(file), "--group", str(group)])
        import_l2l.command([str(file), str(folder), "--preprocessing", "identity", "--output-scale", "1"])
        found = read_variables(load_optimizer(folder))
        expected = {f"0/{name[2:]}": array for name, array in weights.items() if name[0] == str(group)}
        assert same({"": found}, {"": expected})
        assert b"numpy._core" not in file.read_bytes()  # which NumPy before 2 does not have
        by_pickle = pickle.loads(file.read_bytes())
        assert by_pickle.keys() == ({"linear", "lstm_1", "lstm_2"}, {"linear"})[group]
        assert same(by_pickle, read_arrays(file))


def test_what_the_released_code_cannot_run_is_not_exported(tmp_path: Path) -> None:
    config = {"_target_": "l2l_tf.optimizers.OddLSTM", "layers": [3]}
    save_optimizer(tmp_path / "odd", config, read_variables(everything(build_optimizer(config))))
    with pytest.raises(InputError, match=r"holds OddLSTM, only CoordinatewiseLSTM and RNNprop"):
        export(tmp_path / "odd", tmp_path / "odd.l2l")
    assert not (tmp_path / "odd.l2l").exists()


class Call:
    """Pickled, it is a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any):
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


def with_extra(extra: Any, protocol: int = 2) -> bytes:
    return pickle.dumps(released() | {"extra": {"w": extra}}, protocol)


def array_pickle(shape: bytes, data: bytes, code: bytes = b"f4") -> bytes:
    """A pickle of {"linear": {"w": an array}} whose parts need not fit."""
    head = b"\x80\x02}X\x06\x00\x00\x00linear}X\x01\x00\x00\x00wcnumpy.core.multiarray\n_reconstruct\n"
    dtype = b"cnumpy\ndtype\n(V" + code + b"\nI00\nI01\ntR(I3\nV<\nNNNI-1\nI-1\nI0\ntb"
    return head + b"(cnumpy\nndarray\n(I0\ntVb\ntR(I1\n" + shape + dtype + b"I00\n" + data + b"tbss."


def small(**changes: Any) -> bytes:
    arrays = released()
    for name, value in changes.items():
        module, variable = name.split("__")
        arrays.setdefault(module, {})[variable] = value
    return pickle.dumps(arrays)


def hostile() -> dict[str, tuple[bytes, str]]:
    """Files and what the message must say; a file that were run would make the file `executed` here."""
    system = f"c{os.system.__module__}\nsystem\n"
    command = "(Vtouch executed\ntR."
    attribute = "cdill._dill\n_get_attr\n"
    module = "cdill._dill\n_import_module\n"
    code = "(Vopen('executed', 'w')\ntR."
    doubled = b")q\x00" + b"h\x00h\x00\x86q\x00" * 200  # a tuple of 2^200 empty ones
    return {
        "os.system": ((system + command).encode(), "refers to posix.system"),
        "os.system by dill": (dill.dumps(Call(os.system, "touch executed")), "refused"),
        "os.system deep inside": (with_extra(Call(os.system, "touch executed")), "refers to posix.system"),
        "os.system, stacked": (with_extra(Call(os.system, "touch executed"), 4), "refers to posix.system"),
        "eval": (with_extra(Call(builtins.eval, "open('executed', 'w')")), "eval"),
        "eval by _get_attr": (f"{attribute}(NVeval\ntR{code}".encode(), "_get_attr"),
        "eval of builtins": (f"{attribute}({module}(Vbuiltins\ntRVeval\ntR{code}".encode(), "_import_module"),
        "eval of NumPy": (f"{attribute}({module}(Vnumpy.core.multiarray\ntRVeval\ntR{code}".encode(), "eval"),
        "import": (f"{module}(Vexecuted\ntR.".encode(), "_import_module"),
        "load_type": (b"cdill._dill\n_load_type\n(Veval\ntR.", "_load_type"),
        "dill's function": (dill.dumps(lambda: 0), "refers to dill._dill._create_function"),
        "codec": (b"c_codecs\nencode\n(Vopen\nVrot13\ntR.", "_codecs.encode"),
        "state of a function": (b"c_codecs\nencode\n}b.", "sets the state"),
        "instance": (b"(ios\nsystem\n.", "refers to|uses pickle's INST"),
        "new object": (dill.dumps(ValueError("x"), 4), "_load_type.ValueError"),
        "persistent id": (b"Pa\n.", "uses pickle's PERSID"),
        "extension": (b"\x82\x01.", "uses pickle's EXT1"),
        "object array": (with_extra(np.array([None, "x"], dtype=object)), "dtype O8"),
        "strings": (with_extra(np.array(["x", "y"])), "dtype U1"),
        "structured": (with_extra(np.zeros(2, dtype=[("a", "f4")])), "dtype V4"),
        "list": (pickle.dumps([1]), "holds something else"),
        "number": (b"I1\n.", "holds something else"),
        "no dict in the dict": (pickle.dumps({"linear": 1}), "holds something else"),
        "numbers as keys": (pickle.dumps({1: {}}), "holds something else"),
        "empty": (b"", "damaged"),
        "text": (b"hello, this is no pickle", "damaged|refused"),
        "safetensors": (b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", "damaged|refused"),
        "2 GiB by shape": (array_pickle(b"(I536870912\nt", b"V\n"), "claims 2147483648 bytes and has 0"),
        "2 GiB of bytes": (array_pickle(b"(I536870912\nt", b"\x8e" + struct.pack("<Q", 2**31) + b"abc"), "damaged"),
        "2 GiB of text": (array_pickle(b"(I536870912\nt", b"X" + struct.pack("<I", 2**31) + b"abc"), "damaged"),
        "2 GiB of memo": (b"}r\xff\xff\xff\x7f.", "damaged"),
        "2 GiB of frame": (b"\x80\x04\x95" + struct.pack("<Q", 2**31) + b"}.", "damaged"),
        "huge integer": (b"\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01.", "damaged|refused"),
        "huge product": (array_pickle(b"(" + b"I9999999999\n" * 5000 + b"t", b"V\n"), "neither vector nor matrix"),
        "negative shape": (array_pickle(b"(I-1\nI-1\nt", b"VAAAA\n"), "neither vector nor matrix"),
        "nested tuples": (doubled + b"c_codecs\nencode\nh\x00R.", "damaged"),
        "nested tuples as a key": (doubled + b"}h\x00Ns.", "damaged"),
        "nested tuples, hidden": (b")(uq\x00" + b"h\x00h\x00\x86(uq\x00" * 200 + b"}h\x00Ns.", "damaged"),
        "nested tuples, copied": (b")" + b"2\x86" * 200 + b"}q\x000h\x00N1s.", "uses pickle's DUP"),
        "nested tuples as a name": (doubled + b"h\x00h\x00\x93.", "damaged"),
        "many opcodes": (b"N" * 200_000 + b".", "more than 100000 opcodes"),
        "stack underflow": (b"R.", "damaged"),
        "wrong w_gates": (small(lstm_1__w_gates=np.zeros([25, 80], np.float32)), "lstm_1/w_gates has shape"),
        "wrong b_gates": (small(lstm_2__b_gates=np.zeros([], np.float32)), "lstm_2/b_gates has shape"),
        "wrong linear": (small(linear__w=np.zeros([20, 2], np.float32)), "linear/w has shape"),
        "unknown module": (small(gru__w=np.zeros([1], np.float32)), "gru/w has shape"),
        "unknown variable": (small(lstm_1__w_f_diag=np.zeros([20], np.float32)), "lstm_1/w_f_diag has shape"),
        "empty dict": (pickle.dumps({}), "linear/w has shape none"),
        "not finite": (small(linear__b=np.array([np.nan], np.float32)), "not finite"),
        "beyond float32": (small(linear__b=np.array([1e300])), "not finite"),
    }


@pytest.mark.parametrize("name", hostile())
def test_anything_else_is_refused_unrun(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, message = hostile()[name]
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "bad.l2l", content)
    tracemalloc.start()
    try:
        with pytest.raises(SystemExit) as stopped:
            run(import_l2l.command, ["bad.l2l", "output"])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    line = str(stopped.value)
    assert line.startswith("error: bad.l2l: ")
    assert len(line.splitlines()) == 1
    assert len(line) < 400
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(line)
    assert peak < 4e6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.l2l"]


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    for content in (dill.dumps(as_defaultdict(released((3,)))), python_2_pickle(released((3,)), True)):
        for length in range(0, len(content), 7):
            with pytest.raises(InputError, match="damaged"):
                read_arrays(write(tmp_path / "a.l2l", content[:length]))


def test_random_damage_is_refused_or_harmless(tmp_path: Path) -> None:
    content = np.frombuffer(dill.dumps(as_defaultdict(released((3,)))), np.uint8)
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(500):
        damaged = content.copy()
        damaged[rng.integers(len(content), size=3)] = rng.integers(256, size=3)
        try:
            read_arrays(write(tmp_path / "a.l2l", damaged.tobytes()))
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert all(len(message.splitlines()) == 1 for message in messages)


def test_large_files_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.l2l").open("wb") as file:
        file.truncate(2**31)  # sparse: takes no space
    with pytest.raises(InputError, match=f"must have at most {unpickler.LARGEST_FILE}"):
        read_arrays(tmp_path / "large.l2l")


def test_same_data_many_times_is_refused(tmp_path: Path) -> None:
    array = np.zeros([1000], np.float32)
    described = pickle.dumps({"linear": {f"w{k}": array for k in range(3000)}})
    with pytest.raises(InputError, match="claims arrays of 12000000 bytes in a file of"):
        read_arrays(write(tmp_path / "a.l2l", described))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.l2l", "out"], "error: nothing.l2l: no such file"),
        (
            ["net.l2l", "out", "--p", "0"],
            "error: preprocessing.p=0.0: must be",
        ),
        (["net.l2l", "out", "--p", "x"], "error: argument --p: invalid float value"),
        (["net.l2l", "out", "--smoothing", "-1"], "error: preprocessing.smoothing=-1.0: must be"),
        (["net.l2l", "out", "--output-scale", "nan"], "error: output_scale=nan: must be"),
        (["net.l2l", "out", "--preprocessing", "identity"], "error: net.l2l: its LSTM has 2 input"),
        (["net.l2l"], "error: the following arguments are required"),
    ],
)
def test_wrong_options_are_refused(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "net.l2l", pickle.dumps(released()))
    with pytest.raises(SystemExit) as stopped:
        run(import_l2l.command, arguments)
    assert str(stopped.value).startswith(message)
    assert not (tmp_path / "out").exists()


def test_export_refuses_what_released_files_cannot_hold(tmp_path: Path) -> None:
    adam = {"_target_": "l2l_tf.optimizers.Adam", "learning_rate": 0.1}
    groups = [{"optimizer": adam, "parameters": [name]} for name in "ab"]
    save_optimizer(tmp_path, {"_target_": "l2l_tf.optimizers.ParameterGroups", "groups": groups}, {})
    for arguments, message in (([], "has 2 groups"), (["--group", "2"], "from 0 to 1"), (["--group", "0"], "Adam")):
        with pytest.raises(InputError, match=message):
            export_l2l.command([str(tmp_path), str(tmp_path / "a.l2l"), *arguments])
    assert not (tmp_path / "a.l2l").exists()


def test_commands_end_with_one_line_and_status_1(tmp_path: Path) -> None:
    file = write(tmp_path / "bad.l2l", b"cos\nsystem\n(Vtouch executed\ntR.")
    command = [sys.executable, "-m", "l2l_tf.serialization.import_l2l", str(file), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"error: {file}: refers to os.system, which arrays have no need of: refused\n"
