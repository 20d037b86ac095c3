"""Ctrl-C and SIGTERM: one line on standard error, and the status that shells give, 130 and 143."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM


class Terminated(KeyboardInterrupt):
    """SIGTERM, which then unwinds the program as Ctrl-C does, past every `except Exception`."""


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


@contextmanager
def one_line_interrupts() -> Iterator[None]:
    """Within the block Ctrl-C and SIGTERM end the program with one line: what the interrupt's notes say, if any."""
    handles = threading.current_thread() is threading.main_thread()  # only there Python has signal handlers
    before = signal.signal(signal.SIGTERM, _terminate) if handles else None
    try:
        yield
    except KeyboardInterrupt as interrupt:
        terminated = isinstance(interrupt, Terminated)
        line = ": ".join(["terminated" if terminated else "interrupted", *getattr(interrupt, "__notes__", [])])
        print(line, file=sys.stderr)
        sys.exit(TERMINATED if terminated else INTERRUPTED)
    finally:
        if handles:
            signal.signal(signal.SIGTERM, before)
