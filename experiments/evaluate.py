"""Runs baselines and trained optimizers on test problems: `python -m experiments.evaluate experiment=quadratic`."""

from omegaconf import DictConfig

from experiments.composition.cli import command
from experiments.composition.panels import evaluate_panel, select


@command("evaluate")
def main(config: DictConfig) -> None:
    """Evaluates each chosen panel and stores its curves in `results/curves/`; what is up to date is left alone."""
    for panel in select(config):
        evaluate_panel(config, panel)


if __name__ == "__main__":
    main()
