"""Trained optimizers on disk: a folder with `optimizer.yaml` (what it is) and `optimizer.safetensors` (its φ).

The YAML holds `_target_` and arguments, as the configuration that trained it did; only names of `l2l_tf.optimizers`
are accepted, so that loading runs no foreign code. Some folders come with the package, in `l2l_tf/pretrained`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf.checks import instance_of, shown
from l2l_tf.errors import InputError
from l2l_tf.files import load_arrays, save_arrays, write_whole
from l2l_tf.names import short_names
from l2l_tf.optimizers import CoordinatewiseOptimizer, CoupledOptimizer, Optimizer, ParameterGroups, everything
from l2l_tf.serialization.build import build, one_of_targets, public
from l2l_tf.serialization.plain_yaml import read_yaml, write_yaml

_PRETRAINED = Path(__file__).parent.parent / "pretrained"


def build_optimizer(config: Mapping[str, Any]) -> Optimizer | ParameterGroups:
    """The optimizer that a configuration describes, untrained.

    Args:
        config: `_target_: l2l_tf.optimizers.<name>` and its arguments, which may be such mappings themselves.

    Raises:
        InputError: an unknown name or argument, or not an optimizer.
    """
    optimizer = build(config, one_of_targets(public(optimizers)), "optimizer")
    instance_of("optimizer", optimizer, CoordinatewiseOptimizer, CoupledOptimizer, ParameterGroups)
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
        InputError: they are not what φ may be (`check_arrays`); `source` is named as their origin.
    """
    check_arrays(optimizer, arrays, source)
    variables = dict(zip(variable_names(optimizer), optimizer.trainable_variables, strict=True))
    for name, variable in variables.items():
        variable.assign(arrays[name])


def check_arrays(optimizer: ParameterGroups, arrays: Mapping[str, np.ndarray], source: Path) -> None:
    """Checks that arrays are what the optimizer's φ may be.

    Raises:
        InputError: names, shapes or types differ from the optimizer's, or a number is not finite.
    """
    variables = dict(zip(variable_names(optimizer), optimizer.trainable_variables, strict=True))
    expected = {name: tuple(variable.shape) for name, variable in variables.items()}
    found = {name: tuple(array.shape) for name, array in arrays.items()}
    if expected != found:
        raise InputError(f"{source}: has tensors {shown(found, 500)}, the optimizer needs {shown(expected, 500)}")
    for name, variable in variables.items():
        if arrays[name].dtype.name != variable.dtype.name:
            raise InputError(f"{source}: {name} is of type {arrays[name].dtype}, must be {variable.dtype.name}")
        if not np.isfinite(arrays[name]).all():
            raise InputError(f"{source}: {name} has values that are not finite")


def save_optimizer(folder: Path, config: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> None:
    """Writes a trained optimizer's folder."""
    write_whole(folder / "optimizer.yaml", write_yaml(dict(config)))
    save_arrays(folder / "optimizer.safetensors", weights)


def pretrained() -> list[str]:
    """Names of the optimizers that come with the package."""
    return sorted(path.parent.name for path in _PRETRAINED.glob("*/optimizer.yaml"))


def optimizer_folder(source: str | Path) -> Path:
    """The folder of a trained optimizer: of a pretrained one by its name, else the path itself.

    A name is a string without a slash; `./mnist`, or a `Path`, is a folder of one's own.
    """
    return _PRETRAINED / source if isinstance(source, str) and source in pretrained() else Path(source)


def load_optimizer(source: str | Path) -> ParameterGroups:
    """A trained optimizer, ready to use: `init(params)` and `update(gradients, state)` on dicts of tensors.

    Args:
        source: a pretrained optimizer's name, such as "mnist", or the folder of one.

    Raises:
        InputError: the folder or one of its files is missing or damaged.
    """
    folder = optimizer_folder(source)
    path = folder / "optimizer.yaml"
    if not path.exists():
        raise InputError(
            f"{source}: no trained optimizer here (optimizer.yaml is missing), nor a pretrained one: these are "
            f"{', '.join(pretrained())}"
        )
    config = read_yaml(path)
    if not isinstance(config, Mapping):
        raise InputError(f"{path}: must hold a mapping with `_target_`")
    try:
        optimizer = everything(build_optimizer(config))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    load_weights(optimizer, folder)
    return optimizer


def load_weights(optimizer: ParameterGroups, folder: Path) -> None:
    """Sets φ from a trained optimizer's folder.

    Raises:
        InputError: its weights are missing, damaged, or another optimizer's.
    """
    weights = folder / "optimizer.safetensors"
    assign_variables(optimizer, load_arrays(weights), weights)


def as_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
    """NumPy parameters as tensors."""
    return {name: tf.constant(array) for name, array in arrays.items()}
