"""Puts the data sets on disk, every file verified by its SHA-256: `python -m experiments.data`.

Main keys:
    sets=[mnist,cifar10,vgg16,photographs]  which; vgg19 comes from Keras
    dir=FOLDER                              where; the other commands look there with data.dir=FOLDER
"""

from collections.abc import Callable, Mapping
from functools import partial

from omegaconf import DictConfig, ListConfig

from experiments.composition.cli import command
from l2l_tf.checks import one_of
from l2l_tf.data import fetch_cifar10, fetch_features, fetch_mnist, fetch_photographs
from l2l_tf.errors import InputError

FETCH: Mapping[str, Callable[[str], None]] = {
    "mnist": fetch_mnist,
    "cifar10": fetch_cifar10,
    "vgg16": partial(fetch_features, network="vgg16"),
    "vgg19": partial(fetch_features, network="vgg19"),
    "photographs": fetch_photographs,
}


@command("data")
def main(config: DictConfig) -> None:
    """Fetches each of `sets` into the folder `dir`; one that cannot be had does not keep the others from coming."""
    if not isinstance(config.sets, ListConfig):
        raise InputError(f"sets={config.sets}: must be a list of {', '.join(FETCH)}")
    failures = []
    for name in [one_of("sets", name, FETCH) for name in config.sets]:  # all checked before the first download
        try:
            FETCH[name](config.dir)
        except InputError as error:
            failures.append(str(error))
    if failures:
        raise InputError("; ".join(failures))


if __name__ == "__main__":
    main()
