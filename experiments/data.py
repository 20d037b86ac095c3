"""Puts the data sets on disk: `python -m experiments.data [dir=data] [sets=[mnist,cifar10]]`."""

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
