"""Tunes the baselines' learning rates: `python -m experiments.tune panel=figure_4_left`."""

from omegaconf import DictConfig
from tqdm import tqdm

from experiments.composition.cli import command
from experiments.composition.panel import compose_panels
from experiments.results.making import maker


@command("evaluate")
def main(config: DictConfig) -> None:
    """Prints each baseline's losses by learning rate, `*` at the chosen one; every rate is a run in the store."""
    panels, runs = compose_panels(config), maker(config)
    for panel in panels:
        runs.check(panel)
    for panel in panels:
        for variation, optimizee in panel.variations():
            label = " ".join([panel.name, *(f"{key}={value}" for key, value in variation.items())])
            for name in panel.baselines:
                rates = runs.rates(panel, optimizee, name, label)
                columns = zip(rates.learning_rate, rates.loss, rates.chosen, strict=True)
                shown = [f"{rate:.3g}: {loss:.4g}{'*' * chosen}" for rate, loss, chosen in columns]
                tqdm.write(f"{label} {name}: {', '.join(shown)}")


if __name__ == "__main__":
    main()
