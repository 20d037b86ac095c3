"""How much memory this process has needed."""

import resource

GIB = 2**30


def peak_memory() -> float:
    """Peak resident memory of this process so far, in GiB, to two digits after the point; as Linux counts, in KiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB, 2)
