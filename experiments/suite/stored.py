"""The suite's stored runs: a file for each task and optimizer, with the revision and the weights that made it."""

import time
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from experiments.results.record import provenance, short_revision
from experiments.results.tables import read_table, write_table
from experiments.results.trained import digest
from experiments.suite.runs import LOSSES, OPTIMIZERS, Grid, Trained, measure
from experiments.suite.tasks import TASKS


def run_missing(config: DictConfig, tasks: Sequence[str], optimizers: Sequence[str], folder: Path) -> None:
    """One file for each task and optimizer, written when all its seeds are done."""
    revision = short_revision(provenance(0.0))
    for name in optimizers:
        weights = weights_of(OPTIMIZERS[name], Path(config.trained))
        for task in tasks:
            path = folder / task / f"{name}.csv"
            if path.exists() and is_done(path, config.seeds, weights):
                continue
            began = time.monotonic()
            made = TASKS[task].make(config.data.dir)
            rows = measure(made, OPTIMIZERS[name], Path(config.trained), config.seeds, config.steps)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_table(path.with_suffix(""), rows.assign(weights=weights, revision=revision))
            tqdm.write(f"{task} {name}: {time.monotonic() - began:.0f} s")


def weights_of(optimizer: Grid | Trained, trained: Path) -> str:
    """The digest of a trained optimizer's files, `none` for a hand-designed one."""
    return digest(trained / optimizer.folder) if isinstance(optimizer, Trained) else "none"


def is_done(path: Path, seeds: int, weights: str) -> bool:
    """Whether a file has as many test seeds, with these weights."""
    rows = read_table(path, ["seed", *LOSSES], ["stream", "weights"])
    return int(rows[rows.stream == "test"].seed.nunique()) >= seeds and set(rows.weights.astype(str)) == {weights}
