"""Tunes the baselines' learning rates: `python -m experiments.tune panel=figure_4_left`.

Main keys:
    panel=NAME                 one of conf/panel, or experiment=NAME: all of an experiment's
    panel.tuning.per_decade=N  how fine the grid of rates is
    results=FOLDER             where runs are written
"""

from omegaconf import DictConfig
from tqdm import tqdm

from experiments.composition.cli import command
from experiments.composition.panel import Panel, compose_panels
from experiments.results.making import Maker, checked, maker


@command("evaluate")
def main(config: DictConfig) -> None:
    """Prints each baseline's losses by learning rate, `*` at the chosen one; every rate is a run in the store."""
    panels, runs = [panel.only_baselines() for panel in compose_panels(config)], maker(config)
    with checked(panels, runs):
        for panel in panels:
            tune(panel, runs)


def tune(panel: Panel, runs: Maker) -> None:
    """Every baseline on every variation of a panel's optimizee."""
    for variation, optimizee in panel.variations():
        label = panel.label(variation)
        for name in panel.baselines:
            rates = runs.rates(panel, optimizee, name, label)
            columns = zip(rates.learning_rate, rates.loss, rates.chosen, strict=True)
            shown = [f"{rate:.3g}: {loss:.4g}{'*' * chosen}" for rate, loss, chosen in columns]
            tqdm.write(f"{label} {name}: {', '.join(shown)}")


if __name__ == "__main__":
    main()
