"""Pickled arrays, read so that nothing a file says is run: for `.l2l` files and CIFAR-10's python batches.

A pickle is a program, and `pickle.Unpickler` calls whatever `find_class` returns. Here that is an inert `Name`, which
knows only the calls that a dict of arrays needs. Before that, a look through the opcodes refuses those that arrays have
no need of, lengths beyond the file's end and whatever else would take long or much memory.
"""

import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from l2l_tf.errors import InputError
from l2l_tf.files import read_bytes

LARGEST_FILE = 64 * 2**20
MOST_OPCODES = 100_000  # an LSTM layer takes about 100, a batch of CIFAR-10 40,000
NEEDLESS = "which arrays have no need of: refused"

_NUMPY = ("numpy.core.", "numpy._core.")  # before NumPy 2 and since
_ALIASES = {"dill.dill": "dill._dill", "__builtin__": "builtins"} | {
    f"{core}{module}": "numpy" for core in _NUMPY for module in ("multiarray", "_multiarray_umath", "numeric")
}
_NAMES = {
    *("_codecs.encode", "builtins.dict", "collections.defaultdict", "numpy._frombuffer", "numpy._reconstruct"),
    *("dill._dill._create_array", "dill._dill._get_attr", "dill._dill._import_module", "dill._dill._load_type"),
    *("numpy.dtype", "numpy.ndarray"),
}
_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_NEW = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "NONE", "NEWTRUE", "NEWFALSE", "STRING", "BINSTRING"),
    *("SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "BINUNICODE"),
    *("SHORT_BINUNICODE", "BINUNICODE8", "EMPTY_DICT", "DICT", "EMPTY_LIST", "LIST"),
    *("GLOBAL", "STACK_GLOBAL", "REDUCE"),
}
_TUPLES = {"EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_PUTS, _GETS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}, {"GET", "BINGET", "LONG_BINGET"}
_OTHERS = {"PROTO", "FRAME", "MARK", "SETITEM", "SETITEMS", "APPEND", "APPENDS", "BUILD", "STOP"}


def read_pickle(path: Path) -> Any:
    """What a file holds: dicts and lists of constants and of `DescribedArray`s; strings may be bytes, as in Python 2.

    Raises:
        InputError: the file is missing, too large or damaged, or holds or refers to anything else.
    """
    content = read_bytes(path, LARGEST_FILE)
    try:
        _inspect(io.BytesIO(content))
        return _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # damaged bytes are instructions to a machine: anything can come of them
        raise InputError(f"{path}: damaged, not a pickle of arrays ({shown(error)})") from error


def as_text(value: Any) -> Any:
    """Bytes, which Python 2's strings are here, as the text that they are in latin-1; anything else unchanged."""
    return value.decode("latin-1") if isinstance(value, bytes | bytearray) else value


def shown(value: Any) -> str:
    """A short form on one line; mostly the type only, as nested tuples can be longer than any memory."""
    if isinstance(value, Name):
        return value.name
    text = ascii(str(value))[1:-1] if isinstance(value, str | Exception) else type(value).__name__
    return text if len(text) <= 80 else f"{text[:77]}..."


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> "Name":
        return Name(module, name)


class Name:
    """What a pickle gets for a name: it can be called as arrays need it, and its state cannot be set."""

    __slots__ = ("name",)

    def __init__(self, module: str, name: str):
        self.name = f"{_ALIASES.get(module, module)}.{name}"
        if self.name not in _NAMES:
            raise InputError(f"refers to {shown(f'{module}.{name}')}, {NEEDLESS}")

    def __call__(self, *arguments: Any) -> Any:
        """What the call would give, for the calls that are known."""
        match self.name, *map(as_text, arguments):
            case "dill._dill._load_type", "dict" | "DictType":
                return Name("builtins", "dict")
            case "dill._dill._import_module", str(module) if _ALIASES.get(module) == "numpy":
                return module
            case "dill._dill._get_attr", str(module), str(name) if _ALIASES.get(module) == "numpy":
                return Name(module, name)
            case ("collections.defaultdict",) | ("collections.defaultdict", Name(name="builtins.dict")):
                return {}
            case "_codecs.encode", str(text), "latin1" | "latin-1":
                return text.encode("latin-1")
            case "numpy.dtype", "f4" | "f8" | "u1" as code, *_:
                return DescribedType(code)
            case "numpy.dtype", code, *_:
                raise InputError(f"has an array of dtype {shown(code)}, must be f4, f8 or u1: refused")
            case "numpy._reconstruct", Name(name="numpy.ndarray"), (0,), "b":
                return DescribedArray()
            case "numpy._frombuffer", _, dtype, shape, "C" | "F" as order:
                return _described((1, shape, dtype, order == "F", arguments[0]))
            case "dill._dill._create_array", Name(name="numpy._reconstruct"), (Name(), (0,), b"b" | "b"), state, *_:
                return _described(state)
        raise InputError(f"calls {self.name}({', '.join(map(shown, arguments[:3]))}), {NEEDLESS}")

    def __setstate__(self, state: Any) -> None:
        raise InputError(f"sets the state of {self.name}, {NEEDLESS}")


class DescribedType:
    """A dtype: a code such as `f4`, and once its state is set a byte order."""

    def __init__(self, code: str):
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        _, order, *_ = state
        if as_text(order) not in ("<", ">", "=", "|"):
            raise ValueError("a dtype without byte order")
        self.order = as_text(order)


class DescribedArray:
    """An array, once its state is set, of the very bytes that are in the file: it claims no memory beyond."""

    array: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        if len(shape) > 2 or not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError("an array that is neither vector nor matrix")
        size = math.prod(shape) * int(dtype.code[1:])
        if size != len(data):
            raise ValueError(f"an array of {shape} claims {size} bytes and has {len(data)}")
        self.array = np.ndarray(shape, dtype.order + dtype.code, data, order="F" if fortran else "C")


def _described(state: Any) -> DescribedArray:
    array = DescribedArray()
    array.__setstate__(state)
    return array


def _inspect(stream: io.BytesIO) -> None:
    """Refuses a pickle that uses more of the machine than arrays need, before anything of it is run.

    Only what was just made is memoized, and no tuple is fetched again: pairs of the same pair, 200 deep, could keep the
    machine busy forever when they are hashed.

    Raises:
        InputError: an opcode that is not needed, or too many of them.
        ValueError, LookupError: damaged; among others, something claims to be longer than the rest of the file.
    """
    memo: dict[int, str] = {}
    last = ""
    for _ in range(MOST_OPCODES):
        opcode = _OPCODES[stream.read(1).decode("latin-1")]
        name = opcode.name
        if name == "STOP":
            return
        if name == "STRING":  # pickletools takes Python 2's text form for ASCII only
            argument: Any = stream.readline()
        else:
            argument = opcode.arg.reader(stream) if opcode.arg else len(memo)
        if name in _PUTS and last in _NEW | _TUPLES and 0 <= argument < MOST_OPCODES:
            memo[argument] = last
        elif name in _PUTS or (name in _GETS and memo[argument] in _TUPLES):
            raise ValueError(f"{name} {argument} after {last}")
        elif name not in _NEW | _TUPLES | _GETS | _OTHERS:
            raise InputError(f"uses pickle's {name}, {NEEDLESS}")
        last = name
    raise InputError(f"has more than {MOST_OPCODES} opcodes")
