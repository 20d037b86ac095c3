"""An experiment from nothing: `python -m experiments.reproduce experiment=quadratic results=runs/reproduce`.

Trains, tunes, evaluates, tables, draws. Interrupted, the same command goes on; with another `results` it begins anew.
`make reproduce` trains by the train command, whose threads suit training, and then finds here that it is done.

Main keys:
    experiment=NAME  one of conf/experiment
    results=FOLDER   where everything goes
    stages=FILE      a table to which the seconds by stage are added
"""

from pathlib import Path

from omegaconf import DictConfig

from experiments.benchmarks.stages import add_stages
from experiments.composition.build import plain
from experiments.composition.cli import command
from experiments.composition.panel import compose_panels
from experiments.evaluate import evaluate
from experiments.neural_art.studies import make_studies
from experiments.reports.__main__ import write_reports
from experiments.results.making import checked, maker
from experiments.train import train
from l2l_tf.stages import seconds, stage


@command("evaluate")
def main(config: DictConfig) -> None:
    """All of an experiment, every result below `results`; optimizers of other experiments are read from results/."""
    results = Path(config.results)
    panels = compose_panels(config)
    train(config, results / "trained" / config.name)
    config.reuse = False  # figures and tables are made of what is below `results`
    runs = maker(config)
    with checked(panels, runs):
        for panel in panels:
            evaluate(panel, runs)
    if config.studies:
        make_studies(plain(config), panels, runs)
    with stage("drawing"):
        write_reports(results, panels)
    if config.stages:
        add_stages(Path(config.stages), config.name, seconds())


if __name__ == "__main__":
    main()
