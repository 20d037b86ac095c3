"""What every command shares: Hydra around it, and one clear line instead of a traceback when the input is wrong."""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from l2l_tf.checks import one_of
from l2l_tf.errors import InputError

CONF = Path(__file__).resolve().parent.parent.parent / "conf"
BAD_INPUT = (InputError, HydraException, OmegaConfBaseException, OSError)
OmegaConf.register_new_resolver("docstring", lambda: (sys.modules["__main__"].__doc__ or "").strip(), replace=True)


def command(
    config_name: str, threads_of_an_operation: Callable[[DictConfig], int] = lambda _: 1
) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Makes a function of a composed configuration (`conf/<config_name>.yaml`) into a command.

    Bad input ends the command with status 1 and one line on standard error. What runs in parallel are blocks of
    coordinates, problems and optimizations, and not the small operations of each, unless the user has set
    TF_NUM_INTRAOP_THREADS or the command says otherwise (0: as TensorFlow likes).
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(task)
        def job(config: DictConfig) -> Any:
            os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads_of_an_operation(config)))
            if HydraConfig.get().mode == RunMode.MULTIRUN:  # which goes on with the other runs before it ends
                return task(config)
            with one_line_errors():  # here and not only around Hydra, which prints a line of its own for a failed job
                try:
                    return task(config)
                except BAD_INPUT:
                    remove_empty_run()
                    raise

        run = hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job)

        @functools.wraps(task)
        def main() -> None:
            os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here, instead of being printed by Hydra
            with one_line_errors():
                run()

        return main

    return decorate


def remove_empty_run() -> None:
    """Removes the run's folder, which Hydra makes before the run, if the run has left nothing in it."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    if not any(folder.iterdir()):
        folder.rmdir()


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Bad input within the block ends the program: one line on standard error, status 1."""
    try:
        yield
    except BAD_INPUT as error:
        sys.exit(f"error: {one_line(error)}")
    except ValueError as error:
        if "Config group override" not in str(error):  # Hydra's for optimizer=null
            raise
        sys.exit(f"error: {error}")


def one_line(error: BaseException) -> str:
    """What an error has to say, on one line: the message of the first `InputError` in its chain of causes, if any."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return str(cause)
        cause = cause.__cause__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group}={name}: must be one of {', '.join(sorted(error.options))}"
    if isinstance(error.__cause__, ConfigAttributeError | ConfigKeyError):
        return unknown_key(str(error), error.__cause__)
    return " ".join(str(error).split())


def unknown_key(message: str, cause: OmegaConfBaseException) -> str:
    """The line for an override whose key is not in the configuration; Hydra's message ends with `+key=value`."""
    node, _, _ = str(cause.full_key).rpartition(".")
    known = [str(key) for key in cause.parent_node or () if key not in ("_target_", "hydra")]
    keys = f"the keys of {node or 'the configuration'} are {', '.join(known)}" if known else f"{node} has no keys"
    return f"{message.rpartition('+')[2]}: {cause.full_key} is unknown; {keys}"


def build(config: DictConfig, **changes: Any) -> Any:
    """Instantiates a configuration node, lists and dicts as plain ones; `changes` go to its arguments.

    Raises:
        InputError: an argument that is unknown or not allowed.
    """
    return hydra.utils.instantiate(config, _convert_="all", **changes)


def build_optimizee(config: DictConfig, split: str, changes: DictConfig | None = None) -> Any:
    """The optimizee on one split of its data ("train", "validation", "test"), where it has data.

    Args:
        changes: what is different about it, by its keys; `data.split` goes before `split`.
    """
    of_split = {"data": {"split": split}} if "data" in config else {}
    with open_dict(config):
        changed = OmegaConf.merge(config, of_split, changes or {})
    assert isinstance(changed, DictConfig)
    return build(changed)


def training_optimizee(config: DictConfig) -> Any:
    """The optimizee that the optimizer is trained on: on the training split, with what `train_on` changes.

    Raises:
        InputError: `train_on` has a key that the optimizee has no argument for, or names another split.
    """
    return build_optimizee(config.optimizee, "train", _changes(config, "train_on", ["train"]))


def tuning_optimizee(config: DictConfig, variant: DictConfig) -> Any:
    """The optimizee that choices are made on, a panel's `variant` for baselines, the training's own for early stopping.

    It is on validation images, as `tune_on` changes it.

    Raises:
        InputError: `tune_on` has a key that the optimizee has no argument for, or names the test split.
    """
    return build_optimizee(variant, "validation", _changes(config, "tune_on", ["train", "validation"]))


def _changes(config: DictConfig, key: str, splits: list[str]) -> DictConfig:
    changes = config.get(key) or OmegaConf.create()
    if changes:
        allowed = inspect.signature(hydra.utils.get_object(config.optimizee._target_)).parameters
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
