"""Where a result comes from: all that is needed to make it again, and nothing about whose machine it was."""

import argparse
import importlib.metadata
import os
import platform
import re
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from experiments.benchmarks.memory import peak_memory
from l2l_tf.checks import shown
from l2l_tf.errors import InputError
from l2l_tf.files import write_whole
from l2l_tf.serialization.plain_yaml import read_yaml

RECORD = "provenance.yaml"  # of a training, in its folder
PACKAGES = ("l2l_tf", "tensorflow", "tensorflow-cpu", "dm-sonnet", "numpy", "pandas")
REPOSITORY = Path(__file__).resolve().parent.parent.parent


def provenance(seconds: float) -> dict[str, Any]:
    """What made a result.

    Args:
        seconds: that the result took.

    Returns:
        Plain values only. `peak_memory` is this process's so far, in GiB. `revision` and `dirty` (uncommitted changes
        outside `results/`) are None where there is no git repository.
    """
    changes = _git("status", "--porcelain", "--", ".", ":(exclude)results")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(float(seconds), 3),
        "peak_memory": peak_memory(),
        "revision": _git("rev-parse", "--verify", "HEAD"),
        "dirty": None if changes is None else bool(changes),
        "python": platform.python_version(),
        "packages": _versions(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def short_revision(made_by: Mapping[str, Any]) -> str:
    """The first letters of a record's revision; `+` where there were uncommitted changes."""
    return str(made_by["revision"])[:12] + "+" * bool(made_by["dirty"])


def portable(value: Any) -> Any:
    """A copy of nested values that JSON and safe YAML can hold and that names no absolute path."""
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
        name = re.search(r"^model name\s*:\s*(.+)$", kernel.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if name:
            return name[1].strip()
    return platform.processor() or platform.machine()


def write_record(path: Path, config: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Writes what made a table or a figure beside it, as `<name>.provenance.yaml`.

    Args:
        path: of the result, without its suffix; config: the composed configuration, resolved.

    Returns:
        The record.

    Raises:
        InputError: the file cannot be written.
    """
    record = {**provenance(seconds), "config": portable(config)}
    text = yaml.safe_dump(record, sort_keys=False)
    write_whole(path.with_name(f"{path.name}.provenance.yaml"), text.encode())
    return record


def write_study(path: Path, table: str, arguments: argparse.Namespace, began: float) -> None:
    """Writes a study's table, and beside it what made it.

    Args:
        path: of the table; table: as CSV; arguments: the command's; began: when, by `time.monotonic`.

    Raises:
        InputError: a file cannot be written.
    """
    write_whole(path, table.encode())
    write_record(path.with_suffix(""), vars(arguments), time.monotonic() - began)


def read_record(path: Path) -> dict[str, Any]:
    """A training's record, from its file.

    Raises:
        InputError: the file is not such a record.
    """
    record = read_yaml(path)
    config = record.get("config") if isinstance(record, dict) else None
    if not isinstance(config, dict):
        raise InputError(f"{path}: no record of a training, it has no config")
    if not all(isinstance(config.get(key), dict) for key in ("optimizee", "optimizer", "schedule")):
        raise InputError(f"{path}: no record of a training, its config lacks an optimizee, an optimizer or a schedule")
    loss, revisions = record.get("validation_loss", 0.0), record.get("revisions", [])
    if isinstance(loss, bool) or not isinstance(loss, int | float):
        raise InputError(f"{path}: validation_loss={shown(loss)}: must be a number")
    if not isinstance(revisions, list):
        raise InputError(f"{path}: revisions={shown(revisions)}: must be a list")
    return dict(record)
