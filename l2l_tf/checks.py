"""Checks of values from a configuration; each raises `InputError` with the key, the value and what is allowed."""

import math
from collections.abc import Iterable
from typing import TypeVar

from l2l_tf.errors import InputError

Number = TypeVar("Number", int, float)


def at_least(key: str, value: Number, least: Number) -> Number:
    """`value` if it is a finite number of at least `least`; an integer where `least` is one."""
    integer_wanted = isinstance(least, int)
    kind = "an integer" if integer_wanted else "a finite number"
    right_type = isinstance(value, int) if integer_wanted else isinstance(value, int | float)
    if isinstance(value, bool) or not right_type or not math.isfinite(value) or value < least:
        raise InputError(f"{key}={value}: must be {kind} of at least {least}")
    return value


def positive(key: str, value: float) -> float:
    """`value` if it is a finite number above zero."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise InputError(f"{key}={value}: must be a finite number above 0")
    return value


def one_of(key: str, value: str, allowed: Iterable[str]) -> str:
    """`value` if it is one of `allowed`."""
    names = sorted(allowed)
    if value not in names:
        raise InputError(f"{key}={value}: must be one of {', '.join(names)}")
    return value
