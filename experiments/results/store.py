"""The results store: curves in Parquet, provenance beside them, tables in CSV; every file whole or not at all."""

import importlib.metadata
import io
import os
import platform
import re
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml
from pandas.api import types

from experiments.benchmarks.memory import peak_memory
from l2l_tf.errors import InputError
from l2l_tf.files import write_whole

# What a column holds, as a family of dtypes: int32 and int64 are both "integers".
Schema = dict[str, str]
FAMILIES: dict[str, Callable[[pd.Series], bool]] = {
    "strings": types.is_string_dtype,
    "integers": types.is_integer_dtype,
    "numbers": types.is_numeric_dtype,
    "floats": types.is_float_dtype,
    "booleans": types.is_bool_dtype,
}

CURVES: Schema = {
    "experiment": "strings",
    "panel": "strings",
    "optimizee": "strings",
    "optimizer": "strings",
    "seed": "integers",
    "step": "integers",
    "loss": "floats",
}
ARCHITECTURES: Schema = CURVES | {"layers": "integers", "units": "integers"}  # figure 6
ACCURACIES: Schema = {name: family for name, family in CURVES.items() if name != "loss"} | {"accuracy": "numbers"}
UPDATES: Schema = {  # figure 10
    "optimizer": "strings",
    "coordinate": "integers",
    "step": "integers",
    "gradient": "floats",
    "update": "floats",
}
TUNING: Schema = {
    "optimizee": "strings",
    "optimizer": "strings",
    "learning_rate": "numbers",
    "loss": "numbers",
    "chosen": "booleans",
    "n": "integers",
}

PACKAGES = ("l2l_tf", "tensorflow", "tensorflow-cpu", "dm-sonnet", "numpy", "pandas")
REPOSITORY = Path(__file__).resolve().parent.parent.parent


def is_learned(optimizer: str) -> bool:
    """Whether a name in the ``optimizer`` column is a learned optimizer's: ``LSTM``, ``LSTM-sub``, ..."""
    return optimizer.startswith("LSTM")


def curves_schema(panel: str) -> Schema:
    """The columns that a panel's curves must have: the panels of figure 6 also say the architecture."""
    return ARCHITECTURES if panel.startswith("6-") else CURVES


def write_curves(path: Path, frame: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Store one panel's curves, and where they come from in ``<panel>.provenance.yaml`` beside them.

    Losses are stored as float32 (a loss above 3.4e38 becomes inf: diverged), integers as int32.

    Args:
        path: ``results/curves/<panel>.parquet``; missing folders are made.
        frame: one row a (optimizer, problem, step), columns as in ``CURVES`` and any others.
        provenance: what ``provenance()`` returns.

    Raises:
        InputError: a column is missing or of the wrong type, there are no rows, or the file cannot be written.
    """
    check(path, frame, curves_schema(path.stem))
    write_parquet(path, _compact(path, frame))
    write_provenance(path, provenance)  # last: it says that these settings are done


def write_accuracies(path: Path, frame: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Store the final accuracies of one panel, and where they come from beside them.

    Args:
        path: ``results/accuracy/<panel>.parquet``; missing folders are made.
        frame: one row a (optimizer, problem), columns as in ``ACCURACIES`` and any others.
        provenance: what ``provenance()`` returns.

    Raises:
        InputError: a column is missing or of the wrong type, there are no rows, or the file cannot be written.
    """
    check(path, frame, ACCURACIES)
    write_provenance(path, provenance)
    write_parquet(path, frame)


def write_provenance(path: Path, provenance: Mapping[str, Any]) -> None:
    """Store where a result comes from beside it, as ``<name>.provenance.yaml``.

    Raises:
        InputError: the file cannot be written.
    """
    text = yaml.safe_dump(portable(provenance), sort_keys=False)
    write_whole(path.with_suffix(".provenance.yaml"), text.encode())


def read_provenance(path: Path) -> dict[str, Any]:
    """Where a stored result comes from, as ``write_provenance`` left it; empty where there is nothing.

    Raises:
        InputError: the file is not such a record.
    """
    beside = path.with_suffix(".provenance.yaml")
    return read_record(beside) if beside.exists() else {}


def read_record(path: Path) -> dict[str, Any]:
    """What ``provenance`` made, from its file.

    Raises:
        InputError: the file is not such a record.
    """
    try:
        record = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: no readable record") from error
    if not isinstance(record, dict) or not isinstance(record.get("config", {}), dict | None):
        raise InputError(f"{path}: no readable record")
    return record


def read_curves(path: Path) -> pd.DataFrame:
    """Read one panel's curves, as ``write_curves`` stored them.

    Raises:
        InputError: the file is missing, not Parquet or truncated, has no rows, or a column is missing or wrong.
    """
    return read_parquet(path, curves_schema(path.stem))


def write_table(path: Path, frame: pd.DataFrame, parquet: bool = False) -> None:
    """Store a small table as ``<path>.csv`` (numbers to six digits), and exactly as ``<path>.parquet`` when asked.

    Raises:
        InputError: the file cannot be written.
    """
    text = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_whole(path.with_name(f"{path.name}.csv"), text.encode())
    if parquet:
        write_parquet(path.with_name(f"{path.name}.parquet"), frame)


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Store a table exactly, with its `attrs`.

    Raises:
        InputError: the file cannot be written.
    """
    write_whole(path, _parquet(frame))


def read_parquet(path: Path, schema: Schema) -> pd.DataFrame:
    """Read a Parquet file that must have at least the schema's columns.

    Raises:
        InputError: one line that names the file and what is wrong with it.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such results file")
    try:
        # From memory: a path like rate=0.1/x.parquet would be read as a partition and grow a column.
        frame = pd.read_parquet(io.BytesIO(path.read_bytes()))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read, it is not a Parquet file or a truncated one") from error
    check(path, frame, schema)
    return frame


def check(path: Path, frame: pd.DataFrame, schema: Schema) -> None:
    """Hold a table against a schema.

    Raises:
        InputError: one line that names the file and the first thing wrong: no rows, a missing column, its type,
            or missing values in it (a loss may be NaN: that run diverged).
    """
    missing = [name for name in schema if name not in frame.columns]
    if missing:
        raise InputError(f"{path}: missing column {', '.join(missing)} (needed: {', '.join(schema)})")
    if frame.empty:
        raise InputError(f"{path}: has no rows")
    for name, family in schema.items():
        column = frame[name]
        if not FAMILIES[family](column):
            raise InputError(f"{path}: column {name} must hold {family}, not {column.dtype}")
        if name != "loss" and column.isna().any():
            raise InputError(f"{path}: column {name} has missing values")


def provenance(config: Mapping[str, Any] | None, wall_time: float) -> dict[str, Any]:
    """Where a result comes from: all that is needed to make it again, and nothing about whose machine it was.

    Args:
        config: the composed config; absolute paths in it are made relative to the repository, or cut to their last
            name when outside it.
        wall_time: seconds the result took.

    Returns:
        Plain values only, ready for YAML. ``peak_memory`` is this process's so far, in GiB. ``revision`` and ``dirty``
        (uncommitted changes outside ``results/``) are None where there is no git repository.
    """
    changes = _git("status", "--porcelain", "--", ".", ":(exclude)results")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_time": round(float(wall_time), 3),
        "peak_memory": peak_memory(),
        "revision": _git("rev-parse", "--verify", "HEAD"),
        "dirty": None if changes is None else bool(changes),
        "python": platform.python_version(),
        "packages": _versions(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "config": None if config is None else portable(config),
    }


def portable(value: Any) -> Any:
    """A copy of nested values that safe YAML can hold and that names no absolute path."""
    if isinstance(value, Mapping):
        return {str(key): portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [portable(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    if Path(text).is_absolute():
        return _relative(text)
    # A path inside a longer text, such as the command-line override data.dir=/some/where.
    return re.sub(r"(?<=[\s=:,'\"\[])/(?!/)[^\s,'\"\]]+", lambda match: _relative(match[0]), text)


def _relative(path: str) -> str:
    inside = Path(path).is_relative_to(REPOSITORY)
    return str(Path(path).relative_to(REPOSITORY)) if inside else f".../{Path(path).name}"


def _parquet(frame: pd.DataFrame) -> bytes:
    """Zstandard; a dictionary for columns that repeat, split bytes for floats, which do not."""
    floats = [str(name) for name in frame.columns if types.is_float_dtype(frame[name])]
    others = [str(name) for name in frame.columns if str(name) not in floats]
    return frame.to_parquet(
        index=False, compression="zstd", compression_level=9, use_dictionary=others, use_byte_stream_split=floats
    )


def _compact(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    integers = [name for name, family in curves_schema(path.stem).items() if family == "integers"]
    for name in integers:
        if frame[name].max() > np.iinfo(np.int32).max or frame[name].min() < np.iinfo(np.int32).min:
            raise InputError(f"{path}: column {name} has values beyond 32 bits")
    with np.errstate(over="ignore"):
        return frame.astype(dict.fromkeys(integers, "int32") | {"loss": "float32"})


def _git(*arguments: str) -> str | None:
    try:
        run = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _processor() -> str:
    """The processor's name: from the kernel on Linux, elsewhere what Python knows."""
    kernel = Path("/proc/cpuinfo")
    if kernel.exists():
        name = re.search(r"^model name\s*:\s*(.+)$", kernel.read_text(), flags=re.MULTILINE)
        if name:
            return name[1].strip()
    return platform.processor() or platform.machine()
