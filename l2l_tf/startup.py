"""How TensorFlow starts in every command: with oneDNN, and without a word.

oneDNN makes convolutions three to five times as fast, but TensorFlow leaves it off on many processors. Where it is on,
TensorFlow says so on standard error while it loads, whatever its log level; and a command's standard error is for the
one line that it has to say itself.
"""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Within the block file descriptor 2 leads nowhere: C++ writes there, past `sys.stderr`. Exceptions get through."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class SilentLoader(SourceFileLoader):
    """Loads a module and lets none of its words through, unless the user wants all (TF_CPP_MIN_LOG_LEVEL=0)."""

    def exec_module(self, module: ModuleType) -> None:
        """Runs the module's code."""
        if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":
            super().exec_module(module)
        else:
            with silent_stderr():
                super().exec_module(module)


class TensorFlowFinder(MetaPathFinder):
    """Gives `tensorflow` the silent loader, whichever module imports it first; commands that need none stay quick."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where TensorFlow is; nothing for other modules, which the finders after this one look for."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname == "tensorflow" else None
        if spec is not None and spec.origin is not None:
            spec.loader = SilentLoader(fullname, spec.origin)
        return spec


def prepare_tensorflow() -> None:
    """Switches oneDNN on and TensorFlow's chatter off, unless the user has decided; for commands, not for importers."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # A function is traced for each optimizer and each architecture, and is meant to be; TensorFlow warns of it.
    logging.getLogger("tensorflow").addFilter(lambda record: "tf.function retracing" not in record.getMessage())
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it says nothing that a user can act on
    sys.meta_path.insert(0, TensorFlowFinder())
