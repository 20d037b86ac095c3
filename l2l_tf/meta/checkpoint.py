"""Everything that a training needs to go on as if it had never stopped, in one small file."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

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
        history: one row a round.
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
        InputError: it is damaged, or belongs to another configuration.
    """
    arrays = load_arrays(path)
    if "numbers" not in arrays:
        raise InputError(f"{path}: not a checkpoint of this version")
    numbers = json.loads(arrays.pop("numbers").tobytes())
    if set(numbers) != set(_NUMBERS):
        raise InputError(f"{path}: not a checkpoint of this version, which has {', '.join(_NUMBERS)}")
    if numbers["fingerprint"] != fingerprint:
        raise InputError(
            f"{path}: belongs to a training with another configuration; choose another hydra.run.dir or delete it"
        )
    kinds: dict[str, Any] = {kind: {} for kind in _ARRAYS}
    for key, array in arrays.items():
        kind, name = key.split("/", 1)
        kinds[kind][name] = array
    return Checkpoint(**(kinds | numbers))
