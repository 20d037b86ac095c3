"""`make reproduce`'s stages on short runs: where the time goes, seen before the long ones are begun."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from experiments.benchmarks.stages import KEYS, STAGES
from experiments.results.tables import read_table
from l2l_tf.errors import InputError


def reproduce(results: Path, arguments: Sequence[str]) -> None:
    """Runs `python -m experiments.reproduce` in a process of its own; its seconds by stage go below `results`.

    Raises:
        InputError: it fails; with its last line.
    """
    places = [f"results={results}", f"stages={results / 'bench' / 'reproduce.csv'}"]
    command = [sys.executable, "-m", "experiments.reproduce", *arguments, *places]
    finished = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"})
    if finished.returncode:
        raise InputError(f"{' '.join(arguments)}: {(finished.stderr.splitlines() or ['no message'])[-1]}")


def short_runs(experiments: Mapping[str, Sequence[str]], data: str) -> pd.DataFrame:
    """The stages of some experiments with what makes each short; prints them, a row for each experiment.

    Returns:
        Columns experiment, stage, seconds.

    Raises:
        InputError: there is no experiment, or one fails.
    """
    if not experiments:
        raise InputError("short_runs={}: must have an experiment, such as quadratic")
    with TemporaryDirectory() as folder:
        for name, changes in experiments.items():
            reproduce(Path(folder), [f"experiment={name}", f"data.dir={data}", *changes])
        stages = read_table(Path(folder) / "bench" / "reproduce.csv", ["seconds"], KEYS)
    print(stages.pivot_table("seconds", "experiment", "stage", sort=False)[list(STAGES)].to_string())
    return stages
