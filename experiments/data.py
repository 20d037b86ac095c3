"""Puts the data sets on disk, every file verified by its SHA-256: `python -m experiments.data`.

Main keys:
    sets=[mnist,cifar10]  which
    dir=FOLDER            where; the other commands look there with data.dir=FOLDER
"""

from omegaconf import DictConfig, ListConfig

from experiments.composition.cli import command
from l2l_tf.checks import one_of
from l2l_tf.data import fetch_cifar10, fetch_mnist
from l2l_tf.errors import InputError

FETCH = {"mnist": fetch_mnist, "cifar10": fetch_cifar10}


@command("data")
def main(config: DictConfig) -> None:
    """Fetches each of `sets` into the folder `dir`."""
    if not isinstance(config.sets, ListConfig):
        raise InputError(f"sets={config.sets}: must be a list of {', '.join(FETCH)}")
    for name in [one_of("sets", name, FETCH) for name in config.sets]:  # all checked before the first download
        FETCH[name](config.dir)


if __name__ == "__main__":
    main()
