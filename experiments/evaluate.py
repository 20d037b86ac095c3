"""Runs tuned baselines and trained optimizers on a panel's test problems.

`python -m experiments.evaluate panel=figure_5_left`, or `experiment=mnist` for all panels of an experiment.

Main keys:
    panel=NAME      one of conf/panel, or experiment=NAME: all of an experiment's
    only=NAME       one of its optimizers
    results=FOLDER  where runs are written
"""

from omegaconf import DictConfig
from tqdm import tqdm

from experiments.composition.cli import command
from experiments.composition.panel import Panel, compose_panels
from experiments.results.making import Maker, checked, maker
from experiments.results.run import Run


@command("evaluate")
def main(config: DictConfig) -> None:
    """Makes every run of the chosen panels that is not stored, or is stored and comes out otherwise now."""
    panels, runs = compose_panels(config), maker(config)
    with checked(panels, runs):
        for panel in panels:
            evaluate(panel, runs)


def evaluate(panel: Panel, runs: Maker) -> None:
    """Every optimizer on every variation of a panel's optimizee; says what was made and what was found stored."""
    runs.made = runs.reused = 0
    for variation, optimizee in panel.variations():
        label = panel.label(variation)
        for name, run in runs.test_runs(panel, optimizee, label).items():
            tqdm.write(f"{label} {name}: final loss {final_loss(panel, run):.4g}")
    tqdm.write(f"{panel.name}: {runs.made} runs made, {runs.reused} were stored, in {runs.store.folder}/runs")


def final_loss(panel: Panel, run: Run) -> float:
    """The mean over a panel's window and problems."""
    return float(run.losses[:, -panel.window :].mean())


if __name__ == "__main__":
    main()
