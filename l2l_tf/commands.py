"""What the library's commands share: bad input, options included, ends with status 1 and one line on standard error."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from l2l_tf.errors import InputError
from l2l_tf.interrupts import one_line_interrupts
from l2l_tf.startup import prepare_tensorflow

prepare_tensorflow()


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `InputError` instead of printing its usage and exiting."""

    def error(self, message: str) -> NoReturn:
        """Raises what is wrong with the command line."""
        raise InputError(message)


def run(command: Callable[[Sequence[str] | None], None], arguments: Sequence[str] | None = None) -> None:
    """Runs a command on the given arguments, or on those of the command line."""
    with one_line_interrupts():
        try:
            command(arguments)
        except (InputError, OSError) as error:
            sys.exit(f"error: {' '.join(str(error).split())}")
