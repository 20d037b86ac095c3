"""Which schedule reaches a given validation loss soonest? `python -m experiments.studies.time_to_loss`.

Trains with each of `schedules`, one after the other, and stores the seconds and meta-updates that each took to its
first validation loss of at most each of `targets`. What is being measured is time: nothing else should run meanwhile.
Interrupted, the same command goes on.

Main keys:
    experiment=NAME  whose optimizee and optimizer are trained, and whose schedule the others are changes of
    targets=[LOSS]   of validation
    schedules={...}  what each changes; see conf/time_to_loss.yaml
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from tqdm import tqdm

from experiments.composition.build import build, plain
from experiments.composition.cli import command
from experiments.results.record import write_record
from experiments.results.tables import read_table, write_table
from experiments.train import threads_of_an_operation, train
from l2l_tf.checks import instance_of, shown
from l2l_tf.errors import InputError
from l2l_tf.meta import Schedule

COLUMNS = ["target", "schedule", "seconds", "updates", "best_validation_loss", "all_seconds"]


def with_schedule(config: DictConfig, name: str, changes: Mapping[str, Any]) -> DictConfig:
    """The configuration with a few things of its schedule changed."""
    changed = OmegaConf.merge(config, {"name": f"{config.name}_{name}", "schedule": dict(changes)})
    assert isinstance(changed, DictConfig)
    return changed


def variants(config: DictConfig) -> dict[str, DictConfig]:
    """The configuration with each of the schedules; all are built, so that what is wrong with one shows first.

    Raises:
        InputError: one cannot be built; says which.
    """
    changed = {}
    for name, changes in config.schedules.items():
        try:
            changed[str(name)] = with_schedule(config, str(name), changes)
            instance_of("schedule", build(changed[str(name)].schedule), Schedule)
        except OmegaConfBaseException as error:
            raise InputError(f"schedules.{name}: must be changes of the schedule ({shown(error, 200)})") from error
        except InputError as error:
            raise InputError(f"schedules.{name}: {error}") from error
    return changed


def reached(history: pd.DataFrame, target: float) -> dict[str, float]:
    """When a training first had a validation loss of at most `target`.

    Args:
        history: a row for each round: update, validation_loss, seconds (of the round, its validation included).

    Returns:
        seconds and updates until then (missing if it never did), and the whole training's best loss and seconds.
    """
    seconds = history.seconds.cumsum()
    there = history.validation_loss <= target
    first = int(there.argmax()) if there.any() else None
    return {
        "seconds": float("nan") if first is None else float(seconds.iloc[first]),
        "updates": float("nan") if first is None else float(history["update"].iloc[first]),
        "best_validation_loss": float(history.validation_loss.min()),
        "all_seconds": float(seconds.iloc[-1]),
    }


@command("time_to_loss", threads_of_an_operation)
def main(config: DictConfig) -> None:
    """Stores the table, for each target the soonest first, in `folder`: time_to_loss.csv."""
    began, folder, rows = time.monotonic(), Path(config.folder), []
    for name, variant in tqdm(variants(config).items(), "schedules"):
        run = folder / name
        train(variant, run)
        history = read_table(run / "history.csv", ["update", "validation_loss", "seconds"])
        rows += [{"target": target, "schedule": name, **reached(history, target)} for target in config.targets]
    order = ["target", "seconds", "best_validation_loss"]
    table = pd.DataFrame(rows, columns=COLUMNS).sort_values(order, ascending=[False, True, True], ignore_index=True)
    write_table(folder / "time_to_loss", table)
    write_record(folder / "time_to_loss", plain(config), time.monotonic() - began)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
