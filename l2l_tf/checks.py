"""Checks of values from a configuration; each raises `InputError` with the key, the value and what is allowed."""

import math
from collections.abc import Iterable
from typing import Any, TypeVar

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


def below_one(key: str, value: float) -> float:
    """`value` if it is a number from 0 to below 1, as the decay of a running mean is."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise InputError(f"{key}={value}: must be a number of at least 0 and below 1")
    return value


def instance_of(key: str, value: Any, *kinds: type) -> None:
    """Checks that `value`, which a configuration built, is of one of `kinds`."""
    if not isinstance(value, kinds):
        shown = value if isinstance(value, str | int | float | None) else type(value).__name__
        raise InputError(f"{key}={shown}: must be of type {' or '.join(kind.__name__ for kind in kinds)}")


def one_of(key: str, value: str, allowed: Iterable[str]) -> str:
    """`value` if it is one of `allowed`."""
    names = sorted(allowed)
    if value not in names:
        raise InputError(f"{key}={value}: must be one of {', '.join(names)}")
    return value
