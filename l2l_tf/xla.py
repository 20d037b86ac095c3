"""What XLA compiles, and how the code within knows."""

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

import tensorflow as tf

_COMPILING = ContextVar("compiling", default=False)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one XLA program; while it is traced, `compiling()` is true."""

    @wraps(function)
    def traced(*args: Any, **kwargs: Any) -> Any:
        token = _COMPILING.set(True)
        try:
            return function(*args, **kwargs)
        finally:
            _COMPILING.reset(token)

    return tf.function(traced, jit_compile=True, autograph=False)


def compiling() -> bool:
    """Whether what is computed here becomes part of an XLA program."""
    return _COMPILING.get()
