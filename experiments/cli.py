"""What every command shares: Hydra around it, and one clear line instead of a traceback when the input is wrong."""

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from l2l_tf.errors import InputError

BAD_INPUT = (InputError, HydraException, OmegaConfBaseException, OSError)


def command(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Makes a function of a composed configuration (`conf/<config_name>.yaml`) into a command.

    Bad input ends the command with status 1 and one line on standard error.
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        run = hydra.main(version_base="1.3", config_path="../conf", config_name=config_name)(task)

        @functools.wraps(task)
        def main() -> None:
            os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here, instead of being printed by Hydra
            try:
                run()
            except BAD_INPUT as error:
                sys.exit(f"error: {one_line(error)}")

        return main

    return decorate


def one_line(error: BaseException) -> str:
    """The message of the innermost bad input in an error's chain of causes, on one line."""
    innermost: BaseException | None = error
    while innermost is not None:
        if isinstance(innermost, InputError):
            return str(innermost)
        innermost = innermost.__cause__
    return " ".join(str(error).split())


def build(config: DictConfig, **changes: Any) -> Any:
    """Instantiates a configuration node, lists and dicts as plain ones; `changes` go to its arguments.

    Raises:
        InputError: an argument that is unknown or not allowed.
    """
    return hydra.utils.instantiate(config, _convert_="all", **changes)


def build_optimizee(config: DictConfig, split: str) -> Any:
    """The optimizee on one split of its data ("train", "validation", "test"), where it has data."""
    if "data" in config:
        config = config.copy()
        config.data.split = split
    return build(config)


def plain(config: DictConfig) -> dict[str, Any]:
    """A configuration as plain dicts and lists, interpolations resolved."""
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
