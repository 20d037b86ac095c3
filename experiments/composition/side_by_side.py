"""Independent pieces of work side by side, in forked processes: they need not be given what is in memory already."""

import sys
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from typing import Any, TypeVar

Result = TypeVar("Result")

_tasks: Sequence[Callable[[], Any]] = ()


def side_by_side(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """What each task returns, which is all that is left of it.

    They run one after the other in this process where it cannot be forked: elsewhere than on Linux, or with TensorFlow,
    whose threads a fork does not have.

    Raises:
        What the first task that fails raises.
    """
    global _tasks
    if sys.platform != "linux" or "tensorflow" in sys.modules:
        return [task() for task in tasks]
    _tasks = tasks
    with get_context("fork").Pool() as pool:
        return pool.map(_run, range(len(tasks)), chunksize=1)


def _run(number: int) -> Any:
    return _tasks[number]()
