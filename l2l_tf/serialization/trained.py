"""Trained optimizers on disk: a folder with `optimizer.yaml` (what it is) and `optimizer.safetensors` (its φ).

The YAML holds `_target_` and arguments, as the configuration that trained it did; only names of `l2l_tf.optimizers`
are accepted, so that loading runs no foreign code.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import yaml

from l2l_tf import optimizers
from l2l_tf.checks import instance_of
from l2l_tf.errors import InputError
from l2l_tf.files import load_arrays, save_arrays, write_whole
from l2l_tf.names import short_names
from l2l_tf.optimizers import CoordinatewiseOptimizer, ParameterGroups, everything

_PREFIX = "l2l_tf.optimizers."


def build_optimizer(config: Mapping[str, Any]) -> CoordinatewiseOptimizer | ParameterGroups:
    """The optimizer that a configuration describes, untrained.

    Args:
        config: `_target_: l2l_tf.optimizers.<name>` and its arguments, which may be such mappings themselves.

    Raises:
        InputError: an unknown name or argument, or not an optimizer.
    """

    def build(value: Any) -> Any:
        if isinstance(value, Mapping):
            arguments = {key: build(item) for key, item in value.items()}
            if "_target_" not in arguments:
                return arguments
            target = str(arguments.pop("_target_"))
            name = target.removeprefix(_PREFIX)
            if name not in optimizers.__all__ or not target.startswith(_PREFIX):
                raise InputError(f"optimizer._target_={target}: must be {_PREFIX} and one of {optimizers.__all__}")
            try:
                return getattr(optimizers, name)(**arguments)
            except (TypeError, ValueError, AttributeError) as error:
                raise InputError(f"optimizer._target_={target}: {error}") from error
        if isinstance(value, list | tuple):
            return [build(item) for item in value]
        return value

    optimizer = build(config)
    instance_of("optimizer", optimizer, CoordinatewiseOptimizer, ParameterGroups)
    return optimizer


def variable_names(optimizer: ParameterGroups) -> list[str]:
    """Names of φ's tensors, in the order of `trainable_variables`: `0/lstm_1/w_gates`, the number being the group's.

    Where an optimizer has several variables of one name, their position tells them apart: `0/Variable:1`.
    """
    names = []
    for index, group in enumerate(optimizer.groups):
        short = short_names([variable.name for variable in group.optimizer.trainable_variables])
        names += [f"{index}/{n}" if short.count(n) == 1 else f"{index}/{n}:{k}" for k, n in enumerate(short)]
    return names


def read_variables(optimizer: ParameterGroups) -> dict[str, np.ndarray]:
    """φ by name."""
    return {
        name: variable.numpy()
        for name, variable in zip(variable_names(optimizer), optimizer.trainable_variables, strict=True)
    }


def assign_variables(optimizer: ParameterGroups, arrays: Mapping[str, np.ndarray], source: Path) -> None:
    """Sets φ from arrays by name.

    Raises:
        InputError: names or shapes differ from the optimizer's; `source` is named as their origin.
    """
    variables = dict(zip(variable_names(optimizer), optimizer.trainable_variables, strict=True))
    expected = {name: tuple(variable.shape) for name, variable in variables.items()}
    found = {name: tuple(array.shape) for name, array in arrays.items()}
    if expected != found:
        raise InputError(f"{source}: has tensors {found}, the optimizer needs {expected}")
    for name, variable in variables.items():
        variable.assign(arrays[name])


def save_optimizer(folder: Path, config: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> None:
    """Writes a trained optimizer's folder."""
    write_whole(folder / "optimizer.yaml", yaml.safe_dump(dict(config), sort_keys=False).encode())
    save_arrays(folder / "optimizer.safetensors", weights)


def load_optimizer(folder: str | Path) -> ParameterGroups:
    """A trained optimizer, ready to use: `init(params)` and `update(gradients, state)` on dicts of tensors.

    Raises:
        InputError: the folder or one of its files is missing or damaged.
    """
    folder = Path(folder)
    path = folder / "optimizer.yaml"
    if not path.is_file():
        raise InputError(f"{folder}: no trained optimizer here (optimizer.yaml is missing)")
    try:
        config = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(config, Mapping):
        raise InputError(f"{path}: must hold a mapping with `_target_`")
    try:
        optimizer = everything(build_optimizer(config))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    weights = folder / "optimizer.safetensors"
    assign_variables(optimizer, load_arrays(weights), weights)
    return optimizer


def as_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
    """NumPy parameters as tensors."""
    return {name: tf.constant(array) for name, array in arrays.items()}
