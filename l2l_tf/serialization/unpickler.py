"""Pickled arrays, read without running the pickle: nothing is imported, nothing is called.

A pickle is a program for a stack machine. Python's own machine lets it call whatever can be imported. The one below has
values of six kinds only: constants, tuples, dicts, and three inert records (a reference, a dtype and an array that the
file *describes*). What a call would do is written out here for the few calls that a dict of arrays needs; everything
else is refused. Arrays are made last, when all they claim to hold has been found in the file, so memory stays within a
small multiple of the file's size.

Strings, Python 2's and 3's, bytes included, are latin-1 text here, which is what they have in common.
"""

import codecs
import io
import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from l2l_tf.errors import InputError

LARGEST_FILE = 64 * 2**20
MOST_OPCODES = 10_000  # a layer takes about 100

_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_CONSTANTS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BINUNICODE8"),
}
_LITERALS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MODULES = {"dill.dill": "dill._dill", "numpy._core.multiarray": "numpy.core.multiarray"}  # other versions' names


class Reference(Enum):
    """What a file may refer to: names only, never the things themselves."""

    CREATE_ARRAY = "dill._dill._create_array"
    DEFAULTDICT = "collections.defaultdict"
    DICT = "dict"  # no module has it under this name, so only `_load_type` gives it
    DTYPE = "numpy.dtype"
    ENCODE = "_codecs.encode"
    GET_ATTR = "dill._dill._get_attr"
    IMPORT_MODULE = "dill._dill._import_module"
    LOAD_TYPE = "dill._dill._load_type"
    MULTIARRAY = "numpy.core.multiarray"
    NDARRAY = "numpy.ndarray"
    RECONSTRUCT = "numpy.core.multiarray._reconstruct"


@dataclass
class DescribedType:
    """A dtype: a code such as `f4` and a byte order."""

    code: str
    order: str = "="


@dataclass
class DescribedArray:
    """An array: what its pickled state says."""

    shape: tuple[int, ...] = ()
    dtype: DescribedType | None = None
    fortran: bool = False
    data: str = ""

    def size(self) -> int:
        """Bytes it claims to hold.

        Raises:
            ValueError: they are not what the data has.
        """
        if self.dtype is None:
            raise ValueError("an array without content")
        size = math.prod(self.shape) * int(self.dtype.code[1:])
        if size != len(self.data):
            raise ValueError(f"an array of {self.shape} claims {size} bytes and has {len(self.data)}")
        return size

    def array(self) -> np.ndarray:
        """The array itself."""
        assert self.dtype is not None
        values = np.frombuffer(self.data.encode("latin-1"), np.dtype(self.dtype.order + self.dtype.code))
        return values.reshape(self.shape, order="F" if self.fortran else "C")


def read_arrays(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of a pickled `{module: {variable: array}}`, written by pickle or dill in Python 2 or 3.

    Returns:
        Arrays of float32 or float64, of either byte order, read-only.

    Raises:
        InputError: the file is missing, too large, damaged, holds anything else, or refers to anything that such a
            file has no need of.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size > LARGEST_FILE:
        raise InputError(f"{path}: has {path.stat().st_size} bytes, may have {LARGEST_FILE}")
    content = path.read_bytes()
    try:
        described = _Machine(content).run()
        return _arrays(described, len(content))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (ValueError, LookupError, TypeError, ArithmeticError, AssertionError, MemoryError) as error:
        raise InputError(f"{path}: damaged, not a pickle of arrays ({_shown(error)})") from error


def _arrays(described: Any, file_size: int) -> dict[str, dict[str, np.ndarray]]:
    match = isinstance(described, dict) and all(
        isinstance(variables, dict) and all(isinstance(item, DescribedArray) for item in variables.values())
        for variables in described.values()
    )
    if not match:
        raise InputError("holds something else than {module: {variable: array}}")
    total = sum(item.size() for variables in described.values() for item in variables.values())
    if total > file_size:  # the same data many times
        raise InputError(f"claims arrays of {total} bytes in a file of {file_size}")
    return {module: {name: item.array() for name, item in variables.items()} for module, variables in described.items()}


class _Machine:
    """The stack machine. What goes wrong in a damaged pickle shows as a `ValueError`, `LookupError` or `TypeError`."""

    def __init__(self, content: bytes):
        self._stream = io.BytesIO(content)
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """What the pickle describes."""
        for _ in range(MOST_OPCODES):
            code = self._stream.read(1).decode("latin-1")
            if not code:
                raise ValueError("truncated")
            if code == ".":
                return self._stack.pop()
            self._step(_OPCODES[code])
        raise InputError(f"has more than {MOST_OPCODES} opcodes")

    def _step(self, opcode: pickletools.OpcodeInfo) -> None:
        argument = self._argument(opcode)
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case name if name in _CONSTANTS:
                self._stack.append(argument)
            case name if name in _LITERALS:
                self._stack.append(_LITERALS[name])
            case "EMPTY_DICT":
                self._stack.append({})
            case "MARK":
                self._marks.append(len(self._stack))
            case "TUPLE":
                self._stack.append(tuple(self._pop_to_mark()))
            case name if name in _TUPLES:
                self._stack.append(tuple(self._pop(_TUPLES[name])))
            case "DICT":
                self._stack.append(_set_items({}, self._pop_to_mark()))
            case "SETITEM":
                items = self._pop(2)
                _set_items(self._stack[-1], items)
            case "SETITEMS":
                items = self._pop_to_mark()
                _set_items(self._stack[-1], items)
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = self._stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = self._stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                self._stack.append(self._memo[argument])
            case "GLOBAL":
                self._stack.append(_reference(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                self._stack.append(_reference(*self._pop(2)))
            case "REDUCE":
                self._stack.append(_call(*self._pop(2)))
            case "BUILD":
                [state] = self._pop(1)
                _build(self._stack[-1], state)
            case name:
                raise InputError(f"uses pickle's {name}, which arrays have no need of: refused")

    def _argument(self, opcode: pickletools.OpcodeInfo) -> Any:
        if opcode.arg is None:
            return None
        if opcode.name == "STRING":  # pickletools takes Python 2's text form for ASCII only
            return _text(codecs.escape_decode(pickletools.read_stringnl(self._stream, decode=False))[0])
        reader: Callable[[io.BytesIO], Any] = opcode.arg.reader
        return _text(reader(self._stream))

    def _pop(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise ValueError("nothing on the stack")
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def _pop_to_mark(self) -> list[Any]:
        mark = self._marks.pop()
        items = self._stack[mark:]
        del self._stack[mark:]
        return items


def _text(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _set_items(target: Any, items: list[Any]) -> dict[str, Any]:
    keys = items[::2]
    if not isinstance(target, dict) or len(items) % 2 or not all(isinstance(key, str) for key in keys):
        raise ValueError("not a dict with names as its keys")
    target.update(zip(keys, items[1::2], strict=True))
    return target


def _reference(module: Any, name: Any) -> Reference:
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("a reference without a name")
    try:
        return Reference(f"{_MODULES.get(module, module)}.{name}")
    except ValueError as error:
        raise InputError(f"refers to {_shown(f'{module}.{name}')}, which arrays have no need of: refused") from error


def _call(function: Any, arguments: Any) -> Any:
    """What the call would return, for the calls that are known."""
    match function, arguments:
        case Reference.LOAD_TYPE, ("dict" | "DictType",):
            return Reference.DICT
        case Reference.IMPORT_MODULE, ("numpy.core.multiarray" | "numpy._core.multiarray",):
            return Reference.MULTIARRAY
        case Reference.GET_ATTR, (Reference.MULTIARRAY, str(name)):
            return _reference(Reference.MULTIARRAY.value, name)
        case Reference.DEFAULTDICT, () | (Reference.DICT,):
            return {}
        case Reference.ENCODE, (str(text), "latin1" | "latin-1"):
            return text
        case Reference.DTYPE, ("f4" | "f8" as code, *_):
            return DescribedType(code)
        case Reference.DTYPE, (code, *_):
            raise InputError(f"has an array of dtype {_shown(code)}, must be f4 or f8: refused")
        case Reference.RECONSTRUCT, (Reference.NDARRAY, (0,), "b"):
            return DescribedArray()
        case Reference.CREATE_ARRAY, (Reference.RECONSTRUCT as reconstruct, described, state, *_):
            array = _call(reconstruct, described)
            _build(array, state)
            return array
    if not isinstance(function, Reference) or not isinstance(arguments, tuple):
        raise ValueError("a call of something else than a function")
    shown = ", ".join(_shown(argument) for argument in arguments[:3])
    raise InputError(f"calls {function.value}({shown}), which arrays have no need of: refused")


def _build(target: Any, state: Any) -> None:
    """What `__setstate__` would do, for dtypes and arrays."""
    match target, state:
        case DescribedType(), (int(), "<" | ">" | "=" as order, *_):
            target.order = order
        case DescribedArray(), (int(), tuple(shape), DescribedType() as dtype, int(fortran), str(data)):
            if len(shape) > 2 or not all(type(length) is int and length >= 0 for length in shape):
                raise ValueError("an array that is neither vector nor matrix")
            target.shape, target.dtype, target.fortran, target.data = shape, dtype, bool(fortran), data
        case _:
            raise InputError(f"sets the state of a {type(target).__name__}, which arrays have no need of: refused")


def _shown(value: Any) -> str:
    """A short form on one line; of a tuple the type only, as nested ones can be longer than any memory."""
    text = ascii(str(value))[1:-1] if isinstance(value, str | Exception) else type(value).__name__
    return text if len(text) <= 80 else f"{text[:77]}..."
