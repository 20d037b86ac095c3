"""What every command shares: Hydra around it, and one clear line instead of a traceback when the input is wrong."""

import functools
import hashlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from experiments.composition import schema
from experiments.composition.schema import SCHEMAS
from l2l_tf.checks import shown
from l2l_tf.errors import InputError
from l2l_tf.interrupts import one_line_interrupts

MOST_OF_A_NAME = 200  # of the 255 bytes that a file system gives a folder's name
CONF = Path(__file__).resolve().parent.parent.parent / "conf"
BAD_INPUT = (InputError, HydraException, OmegaConfBaseException, OSError)
OmegaConf.register_new_resolver("docstring", lambda: (sys.modules["__main__"].__doc__ or "").strip(), replace=True)


def folder_name(overrides: Iterable[str]) -> str:
    """A run's folder after its overrides, `optimizer=lstm,seed=1`, in their order; a digest stands for what is no name.

    Where the data is says nothing about a run, and which experiment it is, is the folder above.
    """
    kept = []
    for override in sorted(overrides):
        key, _, value = override.partition("=")
        if key.lstrip("+") in ("experiment", "data.dir"):
            continue
        is_name = len(value) <= 40 and not set(value) & set("/\\\0\n")
        kept.append(override if is_name else f"{key}={digest(value)}")
    name = ",".join(kept)
    return name if len(name.encode()) <= MOST_OF_A_NAME else f"{name[:100]}...{digest(name)}"


def digest(text: str) -> str:
    """Eight characters that tell one text from another."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


OmegaConf.register_new_resolver("folder_name", folder_name, replace=True)


def default_threads(config: DictConfig) -> int:
    """One, or as TensorFlow likes (0) for neural art: its convolutions are few and large, one after the other."""
    return 0 if str(OmegaConf.select(config, "optimizee._target_")).endswith("neural_art") else 1


def command(
    config_name: str, threads_of_an_operation: Callable[[DictConfig], int] = default_threads
) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Makes a function of a composed configuration (`conf/<config_name>.yaml`) into a command.

    Bad input ends the command with status 1 and one line on standard error. What runs in parallel are blocks of
    coordinates, problems and optimizations, and not the small operations of each, unless the user has set
    TF_NUM_INTRAOP_THREADS or the command says otherwise (0: as TensorFlow likes).
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(task)
        def job(config: DictConfig) -> Any:
            if HydraConfig.get().mode == RunMode.MULTIRUN:  # which goes on with the other runs before it ends
                return run_task(config)
            with one_line_errors():  # here and not only around Hydra, which prints a line of its own for a failed job
                try:
                    return run_task(config)
                except BAD_INPUT:
                    remove_empty_run()
                    raise

        def run_task(config: DictConfig) -> Any:
            schema.check(OmegaConf.to_container(config, resolve=True, throw_on_missing=True), SCHEMAS[config_name])
            os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads_of_an_operation(config)))
            return task(config)

        run = hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job)

        @functools.wraps(task)
        def main() -> None:
            os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here, instead of being printed by Hydra
            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, io.TextIOWrapper):
                    stream.reconfigure(errors="replace")  # a terminal that has no φ
            with one_line_interrupts(), one_line_errors():
                check_choices(sys.argv[1:])
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
    """Bad input within the block, or too little memory, ends the program: one line on standard error, status 1."""
    try:
        yield
    except BAD_INPUT as error:
        sys.exit(f"error: {one_line(error)}")
    except Exception as error:
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's
            sys.exit(f"error: too little memory or disk: {shown(error, 300)}")
        raise


def check_choices(arguments: Iterable[str]) -> None:
    """Refuses an override that chooses of a group what is no name, `optimizer=null`: Hydra does not say which."""
    groups = {path.relative_to(CONF).as_posix() for path in CONF.rglob("*") if path.is_dir()}
    for argument in arguments:
        group, equals, text = argument.partition("=")
        if not equals or group not in groups:
            continue
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:  # Hydra has its own line for it
            continue
        if not all(isinstance(name, str) for name in (value if isinstance(value, list) else [value])):
            raise InputError(f"{argument}: must be a name, of a file in conf/{group}")


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
    if isinstance(error, OSError) and error.filename is None and HydraConfig.initialized():
        return f"{HydraConfig.get().runtime.output_dir}: {error.strerror or error}"  # such as a full disk
    return " ".join(str(error).split())


def unknown_key(message: str, cause: OmegaConfBaseException) -> str:
    """The line for an override whose key is not in the configuration; Hydra's message ends with `+key=value`."""
    node, _, _ = str(cause.full_key).rpartition(".")
    known = [str(key) for key in cause.parent_node or () if key not in ("_target_", "hydra")]
    keys = f"the keys of {node or 'the configuration'} are {', '.join(known)}" if known else f"{node} has no keys"
    return f"{message.rpartition('+')[2]}: {cause.full_key} is unknown; {keys}"
