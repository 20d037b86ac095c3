"""The real commands, run in this process, which has TensorFlow already."""

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from l2l_tf.optimizers import everything
from l2l_tf.serialization.trained import build_optimizer, read_variables, save_optimizer


def call(command: str, *arguments: str) -> str:
    """Runs `python -m experiments.<command>`; returns the line it ends with, empty if it ends well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [command, *arguments])
        try:
            runpy.run_module(f"experiments.{command}", run_name="__main__", alter_sys=True)
        except SystemExit as ended:
            return "" if not ended.code else str(ended.code)
    return ""


def call_all(commands: Sequence[str], arguments: Sequence[str]) -> None:
    """Runs some commands one after the other, in a process of their own; ends it with status 1 if one fails."""
    for command in commands:
        if said := call(command, *arguments):
            sys.exit(said)


def save_lstm(results: Path, name: str, seed: int = 0, **arguments: float) -> Path:
    """An untrained small LSTM in the place of a trained optimizer."""
    lstm = {"_target_": "l2l_tf.optimizers.CoordinatewiseLSTM", "layers": [3], "seed": seed, **arguments}
    save_optimizer(results / "trained" / name, lstm, read_variables(everything(build_optimizer(lstm))))
    return results / "trained" / name
