"""An experiment from nothing: `python -m experiments.reproduce experiment=quadratic results=runs/reproduce`.

Trains, tunes, evaluates, tables, draws. Interrupted, the same command goes on; with another `results` it starts anew.
`make reproduce` trains by the train command, whose threads suit training, and then finds here that it is done.
"""

from pathlib import Path

from omegaconf import DictConfig

from experiments.composition.cli import command
from experiments.composition.panels import evaluate_panel, select
from experiments.reports import tables
from experiments.reports.figures.__main__ import main as draw_figures
from experiments.studies.updates import store_updates
from experiments.train import train


@command("evaluate")
def main(config: DictConfig) -> None:
    """All of an experiment, every result below `results`."""
    results = Path(config.results)
    panels = select(config)
    train(config, results / "trained" / config.name)
    for panel in panels:
        evaluate_panel(config, panel)
    if config.updates:
        store_updates(config)
    tables.main(results)
    draw_figures(results)


if __name__ == "__main__":
    main()
