"""Everything that a training needs to go on as if it had never stopped, in one small file."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from l2l_tf.checks import at_least, shown
from l2l_tf.errors import InputError
from l2l_tf.files import load_arrays, save_arrays

Weights = dict[str, np.ndarray]


@dataclass
class Checkpoint:
    """The state of a training at the end of a round.

    Attributes:
        fingerprint: of the configuration that the training was started with.
        update: meta-updates done.
        started: optimizations started, which numbers the next problems.
        weights, adam_m, adam_v: φ and ADAM's moments.
        best_weights: φ with the lowest validation loss, and that loss.
        history: one row per round.
    """

    fingerprint: str
    update: int = 0
    started: int = 0
    weights: Weights = field(default_factory=dict)
    adam_m: Weights = field(default_factory=dict)
    adam_v: Weights = field(default_factory=dict)
    best_weights: Weights = field(default_factory=dict)
    best_loss: float = float("inf")
    rounds_since_best: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


ROUND = ("update", "epoch", "meta_loss", "validation_loss", "learning_rate", "seconds")  # what a row of history says
_ARRAYS = ("weights", "adam_m", "adam_v", "best_weights")
_NUMBERS = ("fingerprint", "update", "started", "best_loss", "rounds_since_best", "history")


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint, whole or not at all."""
    arrays = {f"{kind}/{name}": array for kind in _ARRAYS for name, array in getattr(checkpoint, kind).items()}
    numbers = json.dumps({name: getattr(checkpoint, name) for name in _NUMBERS})
    save_arrays(path, arrays | {"numbers": np.frombuffer(numbers.encode(), np.uint8)})  # under the arrays' checksum


def load_checkpoint(path: Path, fingerprint: str) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        InputError: it is damaged, or belongs to another configuration. Whether its arrays fit, the trainer says.
    """
    arrays = load_arrays(path)
    if "numbers" not in arrays:
        raise InputError(f"{path}: not a checkpoint of this version")
    try:
        numbers = json.loads(arrays.pop("numbers").tobytes())
    except (ValueError, RecursionError) as error:  # UTF-8's and JSON's errors are ValueErrors
        raise InputError(f"{path}: damaged, its numbers are not readable as JSON") from error
    if not isinstance(numbers, dict) or set(numbers) != set(_NUMBERS):
        raise InputError(f"{path}: not a checkpoint of this version, which has {', '.join(_NUMBERS)}")
    if numbers["fingerprint"] != fingerprint:
        raise InputError(
            f"{path}: belongs to a training with another configuration; choose another hydra.run.dir or delete it"
        )
    kinds: dict[str, Any] = {kind: {} for kind in _ARRAYS}
    for key, array in arrays.items():
        kind, _, name = key.partition("/")
        if kind not in kinds:
            raise InputError(f"{path}: damaged, has an array {shown(key)}")
        kinds[kind][name] = array
    try:
        _check(numbers)
    except InputError as error:
        raise InputError(f"{path}: damaged: {error}") from error
    return Checkpoint(**(kinds | numbers))


def _check(numbers: dict[str, Any]) -> None:
    """Raises `InputError` where a number is none, or the history does not end where the checkpoint was written."""
    for key in ("update", "started", "rounds_since_best"):
        at_least(key, numbers[key], 0)
    history = numbers["history"]
    if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
        raise InputError("history: must be a list of rounds")
    for row in history:
        for key in (*ROUND, *row):
            if isinstance(row.get(key), bool) or not isinstance(row.get(key), int | float):  # a loss may be infinite
                raise InputError(f"history.{shown(key)}={shown(row.get(key))}: must be a number")
        at_least("history.update", row["update"], 0)
    if not isinstance(numbers["best_loss"], int | float):
        raise InputError(f"best_loss={shown(numbers['best_loss'])}: must be a number")
    if numbers["update"] != (history[-1]["update"] if history else 0):
        raise InputError(f"update={numbers['update']}: must be that of the history's last round")
