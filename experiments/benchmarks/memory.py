"""How much memory this process has needed."""

import importlib
import sys
from typing import Any

resource: Any
try:
    resource = importlib.import_module("resource")
except ImportError:  # Windows
    resource = None

GIB = 2**30


def peak_memory() -> float | None:
    """Peak resident memory of this process so far, in GiB, to two digits after the point; None where it is unknown."""
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts in bytes, Linux in KiB
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIB, 2)


def limit_memory(gib: float) -> None:
    """Limits this process's address space to so many GiB, where the system can."""
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_AS, (int(gib * GIB), int(gib * GIB)))
