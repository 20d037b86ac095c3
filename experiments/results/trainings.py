"""A training's folder: one training at a time, its configuration, its progress, and the record of what made it."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from experiments.composition.build import once_trained
from experiments.results.record import RECORD, portable, provenance, read_record, short_revision
from experiments.results.tables import write_table
from experiments.results.trained import digest
from l2l_tf.errors import InputError
from l2l_tf.files import write_whole
from l2l_tf.meta.checkpoint import Checkpoint, load_checkpoint
from l2l_tf.meta.trainer import Trainer
from l2l_tf.serialization.plain_yaml import write_yaml
from l2l_tf.serialization.trained import save_optimizer

LOCK = ".lock"


def fingerprint(config: Mapping[str, Any]) -> str:
    """Names a configuration by everything in it that the trained weights depend on; what is null counts as absent.

    Raises:
        InputError: there is no trained optimizer in the folder `start_from`.
    """

    def without_nulls(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_nulls(item) for key, item in value.items() if item is not None}
        return [without_nulls(item) for item in value] if isinstance(value, list) else value

    relevant = without_nulls({key: config[key] for key in ("optimizee", "optimizer", "schedule", "seed")})
    relevant["optimizee"].get("data", {}).pop("directory", None)
    relevant |= {key: without_nulls(config[key]) for key in ("train_on", "tune_on") if config.get(key)}
    if config.get("start_from"):
        relevant["start_from"] = digest(Path(config["start_from"]))
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def one_training(folder: Path, fingerprint: str) -> Iterator[None]:
    """Holds the folder for one training; it is free again when the process ends, however it ends.

    Raises:
        InputError: another training runs there, or has left a checkpoint there; nothing has changed then.
    """
    checkpoint = folder / "checkpoint.safetensors"
    if checkpoint.exists():
        load_checkpoint(checkpoint, fingerprint)
    folder.mkdir(parents=True, exist_ok=True)
    with closing(_locked(folder)):
        yield


def _locked(folder: Path) -> sqlite3.Connection:
    """Holds the folder's lock until it is closed. SQLite's locks are the system's, on Windows as elsewhere."""
    try:
        lock = sqlite3.connect(folder / LOCK, timeout=0, isolation_level=None)
        lock.executescript("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE")  # in memory: no second file beside it
    except sqlite3.Error as error:
        if "is locked" in str(error):
            raise InputError(f"hydra.run.dir={folder}: another training is running there; choose another") from error
        raise InputError(f"{folder / LOCK}: cannot be locked ({error})") from error
    return lock


class Training:
    """What a training leaves in its folder besides the checkpoint.

    Args:
        config: the composed configuration, resolved.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]):
        self.folder = folder
        self.config = dict(config)
        self.made_by = provenance(0.0)  # the code that runs, whatever is committed while it does
        self.revisions = self._revisions()

    def _revisions(self) -> list[str]:
        """The revisions of the code that have trained here, this one last; `+` where there were uncommitted changes."""
        now = short_revision(self.made_by)
        path = self.folder / RECORD
        if not path.exists() or not (self.folder / "checkpoint.safetensors").exists():
            return [now]
        record = read_record(path)
        before = [str(revision) for revision in record.get("revisions") or [record.get("revision")]]
        if before[-1] == now:
            return before
        tqdm.write(f"{self.folder}: goes on with other code ({now}) than it was begun with ({', '.join(before)})")
        return [*before, now]

    def write_config(self, overrides: Sequence[str]) -> None:
        """Writes the composed configuration and the command line's overrides, as Hydra does."""
        for name, content in (("config", portable(self.config)), ("overrides", list(overrides))):
            write_whole(self.folder / ".hydra" / f"{name}.yaml", write_yaml(content))

    def save_progress(self, trainer: Trainer, checkpoint: Checkpoint) -> None:
        """Writes the best optimizer so far, the history of the rounds, and the record."""
        self._save_optimizer(checkpoint)
        history = pd.DataFrame(checkpoint.history)
        write_table(self.folder / "history", history)
        record = {
            **self.made_by,
            "seconds": float(history.seconds.sum()),
            "peak_memory": provenance(0.0)["peak_memory"],
            "revisions": self.revisions,
            "trained": digest(self.folder),
            "validation_loss": float(checkpoint.best_loss),
            "config": portable(self.config),
        }
        write_whole(self.folder / RECORD, write_yaml(record))

    def finish(self, checkpoint: Checkpoint) -> None:
        """Lets a training that had already ended follow what `once_trained` says now."""
        record = dict(read_record(self.folder / RECORD))
        if record["config"].get("once_trained", {}) != portable(self.config["once_trained"]):
            self._save_optimizer(checkpoint)
            record |= {"trained": digest(self.folder), "config": portable(self.config)}
            write_whole(self.folder / RECORD, write_yaml(record))

    def _save_optimizer(self, checkpoint: Checkpoint) -> None:
        save_optimizer(self.folder, portable(once_trained(self.config)), checkpoint.best_weights)
