"""Tunes the baselines' learning rates: `python -m experiments.tune experiment=quadratic panel=figure_4_left`."""

from omegaconf import DictConfig

from experiments.composition.cli import command
from experiments.composition.panels import select, tune_panel


@command("evaluate")
def main(config: DictConfig) -> None:
    """Tunes every baseline on each chosen panel and stores the whole grid in `results/tuning/`."""
    for panel in select(config):
        tune_panel(config, panel)


if __name__ == "__main__":
    main()
