"""`python -m experiments.suite`: the suite's runs that are missing, then its table, text and figure."""

import time
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from experiments.composition.cli import command
from experiments.results.tables import read_table
from experiments.suite.figure import draw
from experiments.suite.runs import OPTIMIZERS, measure
from experiments.suite.table import collect, suite_table, what_works_where
from experiments.suite.tasks import TASKS
from l2l_tf.checks import at_least, one_of
from l2l_tf.files import write_whole


@command("suite")
def main(config: DictConfig) -> None:
    """Runs what is missing and writes `tables/general.csv`, `tables/general.md` and `figures/general.png`."""
    results = Path(config.results)
    tasks, optimizers = chosen(config)
    if not config.tables_only:
        run_missing(config, tasks, optimizers, results / "suite")
    runs = collect(results / "suite")
    table = suite_table(runs)
    (results / "tables").mkdir(parents=True, exist_ok=True)
    write_whole(results / "tables" / "general.csv", table.to_csv(index=False, float_format="%.6g").encode())
    text = "\n".join(what_works_where(table, horizon) for horizon in sorted(table.horizon.unique()))
    write_whole(results / "tables" / "general.md", text.encode())
    draw(table, results / "figures" / "general")
    print(text)


def chosen(config: DictConfig) -> tuple[list[str], list[str]]:
    """The names of the tasks and of the optimizers.

    Raises:
        InputError: one that there is not, or too few steps.
    """
    at_least("steps", config.steps, 100)
    return (
        [one_of("tasks", name, TASKS) for name in config.tasks or TASKS],
        [one_of("optimizers", name, OPTIMIZERS) for name in config.optimizers or OPTIMIZERS],
    )


def run_missing(config: DictConfig, tasks: Sequence[str], optimizers: Sequence[str], folder: Path) -> None:
    """One file for each task and optimizer, written when all its seeds are done."""
    for name in optimizers:
        for task in tasks:
            path = folder / task / f"{name}.csv"
            if path.exists() and seeds_in(path) >= config.seeds:
                continue
            began = time.monotonic()
            made = TASKS[task].make(config.data.dir)
            rows = measure(made, OPTIMIZERS[name], Path(config.trained), config.seeds, config.steps)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, rows.to_csv(index=False, float_format="%.6g").encode())
            tqdm.write(f"{task} {name}: {time.monotonic() - began:.0f} s")


def seeds_in(path: Path) -> int:
    """How many test seeds a file has."""
    rows = read_table(path, ["seed"], ["stream"])
    return int(rows[rows.stream == "test"].seed.nunique())


if __name__ == "__main__":
    main()
