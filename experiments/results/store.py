"""One run, one file: `runs/<hash of its spec>.parquet`, written whole, with its record in the file's own metadata.

The table has the columns problem, step and loss. The metadata hold the record as JSON and the SHA-256 of the whole
file, taken with zeros in its own place, so that no byte of a file can change unnoticed.
"""

import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.results.record import portable
from experiments.results.run import Run, Spec
from l2l_tf.checks import INT64, at_least, boolean, instance_of, one_of, shown
from l2l_tf.errors import InputError
from l2l_tf.files import read_bytes, write_whole

LARGEST_FILE = 64 * 2**20
MARK = b"l2l_tf sha256 "
ZEROS = b"0" * 64
COLUMNS = ("problem", "step", "loss")
MOST_STEPS = 10**7  # of a run, and problems: what is more is no run's
MOST_LOSSES = 2**25  # of a run: a few bytes can stand for any number of equal ones


class Store:
    """The runs of a folder, and of others that are only read.

    Args:
        folder: runs are written to `folder/runs`.
        others: are looked through where `folder` has no such run.
    """

    def __init__(self, folder: Path, others: Sequence[Path] = ()):
        self.folder = folder
        self.others = tuple(others)

    def find(self, spec: Spec) -> Run | None:
        """The stored run of this spec, if there is one.

        Raises:
            InputError: its file is damaged or another run's.
        """
        for folder in (self.folder, *self.others):
            path = path_of(folder, spec)
            if path.exists():
                return read(path)
        return None

    def write(self, run: Run) -> Path:
        """Writes a run's file.

        Raises:
            InputError: it cannot be written.
        """
        path = path_of(self.folder, run.spec)
        write_whole(path, encode(run))
        return path


def path_of(folder: Path, spec: Spec) -> Path:
    """Where a folder of results has the run of this spec."""
    return folder / "runs" / f"{spec.hash()}.parquet"


def encode(run: Run) -> bytes:
    """The content of a run's file."""
    problems, steps = run.losses.shape
    table = pa.table(
        {
            "problem": pa.array(np.repeat(np.arange(problems, dtype=np.int32), steps)),
            "step": pa.array(np.tile(run.steps.astype(np.int32), problems)),
            "loss": pa.array(np.asarray(run.losses, np.float32).reshape(-1)),
        }
    )
    record = {
        "spec": asdict(run.spec),
        "probe": [float(loss) for loss in run.probe],
        "accuracy": None if run.accuracy is None else [float(share) for share in run.accuracy],
        **run.record,
    }
    sink = io.BytesIO()
    settings = {"compression": "zstd", "compression_level": 9, "use_byte_stream_split": ["loss"]}
    with pq.ParquetWriter(
        sink, table.schema, use_dictionary=["problem", "step"], store_schema=False, **settings
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"record": json.dumps(portable(record)), "checksum": MARK + ZEROS})
    content = sink.getvalue()
    return content.replace(MARK + ZEROS, MARK + hashlib.sha256(content).hexdigest().encode(), 1)


def read(path: Path) -> Run:
    """The run in a file.

    Raises:
        InputError: one line that names the file and what is wrong with it.
    """
    content = read_bytes(path, LARGEST_FILE)
    _verify(path, content)
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        record = json.loads(file.metadata.metadata[b"record"])
        spec = _checked(Spec(**record.pop("spec")))
        if file.metadata.num_rows != math.prod(spec.shape) or file.schema_arrow.names != list(COLUMNS):
            raise ValueError(
                f"{file.metadata.num_rows} rows of {file.schema_arrow.names}, not {spec.shape} of {COLUMNS}"
            )
        table = file.read()
        losses = table["loss"].to_numpy().reshape(spec.shape)
        probe = np.asarray(record.pop("probe"), np.float32)
        accuracy = record.pop("accuracy")
        run = Run(spec, losses, probe, record, None if accuracy is None else np.asarray(accuracy, np.float64))
        complete = np.array_equal(table["problem"].to_numpy(), np.repeat(np.arange(len(losses)), losses.shape[1]))
        complete &= np.array_equal(table["step"].to_numpy(), np.tile(run.steps, len(losses)))
    except (pa.ArrowException, OSError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: is not a run's file ({shown(error, 200)})") from error
    if not complete:
        raise InputError(f"{path}: lacks some problems or steps, or has them twice or out of order")
    if path.stem != spec.hash():
        raise InputError(f"{path}: holds run {spec.hash()}, not the one that its name says")
    return run


def _checked(spec: Spec) -> Spec:
    """The spec, once its values are such as a run may have: they say how much memory it takes."""
    instance_of("spec.optimizee", spec.optimizee, dict)
    instance_of("spec.optimizer", spec.optimizer, dict)
    one_of("spec.stream", spec.stream, ("test", "validation"))
    at_least("spec.seed", spec.seed, 0, INT64)
    for name, value in (("problems", spec.problems), ("steps", spec.steps), ("keep_last", spec.keep_last)):
        if value is not None:
            at_least(f"spec.{name}", value, 1, MOST_STEPS)
    boolean("spec.mean", spec.mean)
    at_least("losses", math.prod(spec.shape), 1, MOST_LOSSES)
    return spec


def _verify(path: Path, content: bytes) -> None:
    place = content.rfind(MARK) + len(MARK)
    if place < len(MARK):
        raise InputError(f"{path}: is not a run's file, or cut short (it has no checksum)")
    found = content[place : place + 64]
    if hashlib.sha256(content[:place] + ZEROS + content[place + 64 :]).hexdigest().encode() != found:
        raise InputError(f"{path}: damaged, its content does not match its checksum")


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """The record of every run of a folder, by hash; with its spec, and its accuracies if it has some.

    Raises:
        InputError: a file is damaged.
    """
    runs = {path.stem: read(path) for path in sorted((folder / "runs").glob("*.parquet"))}
    return {name: {**run.record, "spec": asdict(run.spec), "accuracy": run.accuracy} for name, run in runs.items()}
