"""Checks of values from a configuration; each raises `InputError` with the key, the value and what is allowed.

Numbers may be Python's or NumPy's. Integers must fit into int32, in which TensorFlow counts, and other numbers into
float32: a rate of 1e-320 would become 0 there, and one of 1e39 infinite.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from l2l_tf.errors import InputError

Number = TypeVar("Number", int, float)

INT32, INT64 = 2**31 - 1, 2**63 - 1
FLOAT32 = np.finfo(np.float32)


def shown(value: Any, most: int = 80) -> str:
    """A value as an error's line shows it: on one line, and not all of a long one."""
    try:
        text = " ".join(str(value).split())
    except ValueError:  # Python does not write out integers of thousands of digits
        return "a huge integer"
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)  # nothing that a terminal would obey
    return text if len(text) <= most else f"{text[:most]}..."


def is_integer(value: Any) -> bool:
    """Whether `value` is an integer, Python's or NumPy's; a boolean is none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether `value` is a number that float32 can hold, Python's or NumPy's; a boolean is none."""
    real = isinstance(value, float | np.floating) or (is_integer(value) and abs(value) <= INT64)
    return real and bool(abs(value) <= float(FLOAT32.max))  # false of NaN too


def at_least(key: str, value: Number, least: Number, most: float | None = None) -> Number:
    """`value` if it is a finite number from `least` to `most`, if given; an integer where `least` is one."""
    if isinstance(least, int):
        allowed = f"an integer of at least {least}"
        right_type, limit = is_integer(value), INT32 if most is None else most
    else:
        allowed = f"a finite number of at least {least}"
        right_type, limit = is_number(value), float(FLOAT32.max) if most is None else most
    if not right_type or not least <= value <= limit:
        above = right_type and value > limit
        raise InputError(f"{key}={shown(value)}: must be {allowed}{f' and at most {limit:.10g}' if above else ''}")
    return value


def positive(key: str, value: float) -> float:
    """`value` if it is a finite number above zero, and above what float32 takes for zero."""
    if not is_number(value) or value < FLOAT32.tiny:
        small = is_number(value) and value > 0
        smallest = f", at least {FLOAT32.tiny:.3g}, float32's smallest" if small else ""
        raise InputError(f"{key}={shown(value)}: must be a finite number above 0{smallest}")
    return value


def below_one(key: str, value: float) -> float:
    """`value` if it is a number from 0 to below 1, as the decay of a running mean is, in float32 too."""
    if not is_number(value) or value < 0 or np.float32(value) >= 1:
        raise InputError(f"{key}={shown(value)}: must be a number of at least 0 and below 1")
    return value


def boolean(key: str, value: bool) -> bool:
    """`value` if it is true or false, and not what merely counts as such."""
    instance_of(key, value, bool)
    return value


def instance_of(key: str, value: Any, *kinds: type) -> None:
    """Checks that `value`, which a configuration built, is of one of `kinds`."""
    if not isinstance(value, kinds):
        printed = shown(value) if isinstance(value, str | int | float | None) else type(value).__name__
        raise InputError(f"{key}={printed}: must be of type {' or '.join(kind.__name__ for kind in kinds)}")


def one_of(key: str, value: str, allowed: Iterable[str]) -> str:
    """`value` if it is one of `allowed`."""
    names = sorted(allowed)
    if value not in names:
        raise InputError(f"{key}={shown(value)}: must be one of {', '.join(names)}")
    return value
