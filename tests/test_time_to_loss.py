"""The study of schedules: when a training first reached a loss, and what each schedule changes."""

import math
from pathlib import Path

import pandas as pd
from hydra import compose, initialize_config_dir

from experiments.composition.build import build
from experiments.composition.cli import CONF
from experiments.studies.time_to_loss import reached, with_schedule

HISTORY = pd.DataFrame({"update": [10, 20, 30], "validation_loss": [0.5, 0.2, 0.3], "seconds": [4.0, 1.0, 2.0]})


def test_a_loss_is_reached_at_the_first_validation_that_is_as_low() -> None:
    assert reached(HISTORY, 0.2) == {"seconds": 5.0, "updates": 20.0, "best_validation_loss": 0.2, "all_seconds": 7.0}


def test_a_loss_that_is_never_reached_has_no_time() -> None:
    never = reached(HISTORY, 0.1)
    assert math.isnan(never["seconds"])
    assert math.isnan(never["updates"])


def test_every_schedule_of_the_study_can_be_built_and_keeps_the_rest() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("time_to_loss")
    built = {name: build(with_schedule(config, name, changes).schedule) for name, changes in config.schedules.items()}
    assert {schedule.validation.every for schedule in built.values()} == {config.schedule.validation.every}
    assert (built["plain"].optimizations, built["plain"].decay) == (1, "none")
    assert built["exact"].replay.fraction == 1.0
    assert built["exact"].replay.block_size == built["plain"].replay.block_size
    assert Path(config.folder) == Path("runs/studies/time_to_loss")
