"""Figures 9 to 13's data: `python -m experiments.neural_art experiment=neural_art`.

Needs the trained optimizer; baselines are tuned if they are not.

Main keys:
    experiment=neural_art  whose studies say which contents, optimizers and coordinates
    results=FOLDER         where pictures/ and updates/ are written
"""

from omegaconf import DictConfig
from tqdm import tqdm

from experiments.composition.build import plain
from experiments.composition.cli import command
from experiments.composition.panel import compose_panels
from experiments.neural_art.studies import make_studies
from experiments.results.making import maker


@command("evaluate")
def main(config: DictConfig) -> None:
    """Makes the pictures and the updates."""
    for path in make_studies(plain(config), compose_panels(config), maker(config)):
        tqdm.write(str(path))


if __name__ == "__main__":
    main()
