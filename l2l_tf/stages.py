"""Where a process's time goes: `SECONDS` by stage. They add up to all its time since this module was imported.

The library says where its compiled functions are traced and compiled, which a first call does; commands say the rest.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

COMPILING = "trace and compile"
SECONDS: defaultdict[str, float] = defaultdict(float)
_running = ["start"]  # the stages around the present moment; what belongs to none is the start: imports, data
_since = time.monotonic()


def _close() -> None:
    """Counts the time since the last change as that of the stage that runs."""
    global _since
    now = time.monotonic()
    SECONDS[_running[-1]] += now - _since
    _since = now


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Counts the block's time as this stage's, and not as that of the stage around it."""
    _close()
    _running.append(name)
    try:
        yield
    finally:
        _close()
        _running.pop()


def call(function: Any, *arguments: Any, xla: bool = True) -> Any:
    """Calls a `tf.function`. If it has to be traced first, the time for that counts as compiling.

    Args:
        xla: whether XLA compiles it or a part of it: it does so within the first call, whose whole time counts then.
    """
    before, traced = time.monotonic(), function.experimental_get_tracing_count()
    result = function(*arguments) if xla else function.get_concrete_function(*arguments)
    if function.experimental_get_tracing_count() > traced:
        seconds = time.monotonic() - before
        SECONDS[COMPILING] += seconds
        SECONDS[_running[-1]] -= seconds
    return result if xla else function(*arguments)


def seconds() -> dict[str, float]:
    """By stage, until now."""
    _close()
    return dict(SECONDS)
