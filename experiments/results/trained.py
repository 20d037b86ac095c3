"""Trained optimizers by name: `mnist` is the folder `trained/mnist` of the results, `cifar10:1` its group 1 alone."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from l2l_tf.checks import one_of
from l2l_tf.errors import InputError
from l2l_tf.files import read_bytes
from l2l_tf.serialization.plain_yaml import read_yaml

FILES = ("optimizer.yaml", "optimizer.safetensors")


def trained_folder(results: Sequence[Path], source: str) -> Path:
    """The folder of a trained optimizer in the first of some folders of results that has it.

    Raises:
        InputError: none of them has it.
    """
    name = source.partition(":")[0]
    folders = [folder / "trained" / name for folder in results]
    for folder in folders:
        if (folder / FILES[0]).is_file():
            return folder
    command = f"python -m experiments.train experiment={name}"
    raise InputError(f"{folders[0]}: no trained optimizer here; train it with {command}")


def digest(folder: Path) -> str:
    """Of both files of a trained optimizer, its configuration and its weights.

    Raises:
        InputError: one of them cannot be read.
    """
    found = hashlib.sha256()
    for name in FILES:
        found.update(read_bytes(folder / name))
    return found.hexdigest()[:16]


def describe(results: Sequence[Path], source: str) -> dict[str, Any]:
    """A trained optimizer as a run's spec has it: its configuration, the digest of its files, and the group if any.

    Raises:
        InputError: there is none, or a file is damaged.
    """
    folder = trained_folder(results, source)
    path = folder / FILES[0]
    config = read_yaml(path)
    if not isinstance(config, dict):
        raise InputError(f"{path}: must hold a mapping with `_target_`")
    _, colon, group = source.partition(":")
    if colon:
        groups = config.get("groups")
        count = len(groups) if isinstance(groups, list) else 1
        group = one_of(f"learned={source}: group", group, map(str, range(count)))
    return {**config, "trained": digest(folder), "group": int(group) if colon else None}
