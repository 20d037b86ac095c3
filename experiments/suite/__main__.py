"""`python -m experiments.suite`: the suite's runs that are missing, then its table, text and figure."""

from pathlib import Path

from omegaconf import DictConfig

from experiments.composition.cli import command
from experiments.results.tables import write_table
from experiments.suite.figure import draw
from experiments.suite.runs import OPTIMIZERS
from experiments.suite.stored import run_missing
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
    write_table(results / "tables" / "general", table)
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


if __name__ == "__main__":
    main()
