"""From configuration nodes to objects.

The user's own `conf/` and command line may name any function. A configuration that comes from a file, a run's folder,
may have been written by others: it is read as plain values, and built from a list of this library's own.
"""

import importlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import hydra
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from experiments.composition.schema import Trained, check
from l2l_tf.checks import one_of, shown
from l2l_tf.errors import InputError
from l2l_tf.optimizers import everything
from l2l_tf.serialization.build import Resolve, Target, one_of_targets, parameters, public
from l2l_tf.serialization.build import build as build_plain
from l2l_tf.serialization.plain_yaml import read_yaml
from l2l_tf.serialization.trained import load_weights

REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def named(key: str, name: str) -> Target:
    """The function or class of this name, wherever it is: for configurations of the user's own."""
    try:
        target = hydra.utils.get_object(name)
    except Exception as error:  # importing it may raise anything
        why = f"cannot be imported ({shown(error, 200)})"
        raise InputError(f"{key}={shown(name)}: must be the full name of a function or a class, {why}") from error
    if not callable(target):
        raise InputError(f"{key}={shown(name)}: must be a function or a class")
    return target


@cache
def own_targets() -> dict[str, Target]:
    """What a configuration that comes from a file may name: all that describes a training, nothing that writes."""
    data = ("load_cifar10", "load_mnist", "load_small_images")
    names = {"optimizers": None, "optimizees": None, "meta": None, "data": data}
    modules = {name: importlib.import_module(f"l2l_tf.{name}") for name in names}  # slow: they import TensorFlow
    return {full: target for name, module in modules.items() for full, target in public(module, names[name]).items()}


def own_or_trusted(trusted: Iterable[str]) -> Resolve:
    """Finds this library's own, and what the user says may be named besides."""
    own = one_of_targets(own_targets())
    names = set(trusted)

    def resolve(key: str, name: str) -> Target:
        if name in names:
            return named(key, name)
        try:
            return own(key, name)
        except InputError as error:
            raise InputError(f"{error}; or what trust=[...] lists") from error

    return resolve


def build(config: DictConfig, resolve: Resolve = named) -> Any:
    """What a configuration node describes, lists and dicts as plain ones.

    Args:
        resolve: finds what a `_target_` names.

    Raises:
        InputError: an argument that is unknown or not allowed.
    """
    return build_plain(OmegaConf.to_container(config, resolve=True), resolve, config._get_full_key(None))


def build_optimizee(config: DictConfig, split: str, changes: DictConfig | None = None, resolve: Resolve = named) -> Any:
    """The optimizee on one split of its data ("train", "validation", "test"), where it has data.

    Args:
        changes: what is different about it, by its keys; `data.split` goes before `split`.
        resolve: finds what a `_target_` names.

    Raises:
        InputError: an argument that is unknown or not allowed.
    """
    of_split = {"data": {"split": split}} if "data" in config else {}
    with open_dict(config):
        try:
            changed = OmegaConf.merge(config, of_split, changes or {})
        except OmegaConfBaseException as error:
            given = shown(plain(config).get("data"))
            raise InputError(f"optimizee.data={given}: must be a mapping, and so must what changes it") from error
    assert isinstance(changed, DictConfig)
    return build(changed, resolve)


def training_optimizee(config: DictConfig, resolve: Resolve = named) -> Any:
    """The optimizee that the optimizer is trained on: on the training split, with what `train_on` changes.

    Raises:
        InputError: `train_on` has a key that the optimizee has no argument for, or names another split.
    """
    return build_optimizee(config.optimizee, "train", _changes(config, "train_on", ["train"], resolve), resolve)


def tuning_optimizee(config: DictConfig, variant: DictConfig, resolve: Resolve = named) -> Any:
    """The optimizee that choices are made on, a panel's `variant` for baselines, the training's own for early stopping.

    It is on validation images, as `tune_on` changes it.

    Raises:
        InputError: `tune_on` has a key that the optimizee has no argument for, or names the test split.
    """
    changes = _changes(config, "tune_on", ["train", "validation"], resolve)
    return build_optimizee(variant, "validation", changes, resolve)


def once_trained(config: Mapping[str, Any]) -> dict[str, Any]:
    """The optimizer that a training leaves behind: the one that is trained, as `once_trained` changes it."""
    return {**config["optimizer"], **config["once_trained"]}


def check_once_trained(config: DictConfig) -> None:
    """Builds that optimizer.

    Raises:
        InputError: `once_trained` has a key or a value that the optimizer cannot have.
    """
    if config.once_trained:
        build(OmegaConf.create({"once_trained": once_trained(plain(config))}).once_trained)


class MetaTraining(NamedTuple):
    """What a training's configuration describes, in the order in which `Trainer` and `Examiner` take it."""

    optimizee: Any
    validation_optimizee: Any
    optimizer: Any
    schedule: Any
    seed: int


def starting_optimizer(config: DictConfig, resolve: Resolve = named) -> Any:
    """The optimizer as its training begins: with weights drawn by its seed, or those of the folder `start_from`.

    Raises:
        InputError: a bad configuration, or `start_from` is not the folder of such an optimizer.
    """
    optimizer = build(config.optimizer, resolve)
    if config.get("start_from"):
        try:
            load_weights(everything(optimizer), Path(config.start_from))
        except InputError as error:
            raise InputError(f"start_from={config.start_from}: must be such an optimizer's folder: {error}") from error
    return optimizer


def meta_training(config: DictConfig, resolve: Resolve = named) -> MetaTraining:
    """Builds all that a training, or an examination of one, is made of."""
    return MetaTraining(
        training_optimizee(config, resolve),
        tuning_optimizee(config, config.optimizee, resolve),
        starting_optimizer(config, resolve),
        build(config.schedule, resolve),
        config.seed,
    )


def _changes(config: DictConfig, key: str, splits: list[str], resolve: Resolve) -> DictConfig:
    changes = config.get(key) or OmegaConf.create()
    if changes:
        target = resolve("optimizee._target_", config.optimizee._target_)
        allowed = [parameter.name for parameter in parameters(target)]
        for argument in changes:
            one_of(f"{key}: key", str(argument), allowed)
        split = OmegaConf.select(changes, "data.split")
        if split is not None:
            one_of(f"{key}.data.split", split, splits)
    return changes


def plain(config: DictConfig) -> dict[str, Any]:
    """A configuration as plain dicts and lists, interpolations resolved."""
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def trained_config(config: Any, source: Path) -> DictConfig:
    """What a training depends on, of its configuration.

    Args:
        config: plain values, from a file that others may have written; source: the file.

    Raises:
        InputError: it is no training's configuration.
    """
    known = [field.name for field in fields(Trained)]
    described = {key: value for key, value in config.items() if key in known} if isinstance(config, dict) else {}
    described = {"train_on": {}, "tune_on": {}} | described
    try:
        check(described, Trained)
    except InputError as error:
        raise InputError(f"{source}: holds no training's configuration: {error}") from error
    return OmegaConf.create(described)


def read_config(path: Path) -> Any:
    """A composed configuration from a file that others may have written: plain values, references put in.

    Of OmegaConf's interpolations only `${key}` and `${key.below}` are known, and only to plain values.

    Raises:
        InputError: the file cannot be read, or has other interpolations.
    """
    whole = read_yaml(path)

    def put_in(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: put_in(item) for key, item in value.items()}
        if isinstance(value, list):
            return [put_in(item) for item in value]
        if not isinstance(value, str) or "${" not in value:
            return value
        reference = REFERENCE.fullmatch(value)
        found = whole
        for name in reference[1].split(".") if reference else ():
            found = found.get(name) if isinstance(found, Mapping) else None
        if reference is None or isinstance(found, Mapping | list) or "${" in str(found):
            raise InputError(f"{path}: {shown(value)}: must be a plain value, or refer to one")
        return found

    return put_in(whole)
