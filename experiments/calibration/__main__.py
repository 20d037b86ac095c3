"""Calibrates the initial deviation by the paper's baseline curves: `python -m experiments.calibration`.

Each row is stored when it is made: the same command goes on where it was stopped, another deviation or panel adds rows.
"""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from experiments.calibration.nearest import nearest, summary
from experiments.calibration.runs import check, runs, settings_of
from experiments.calibration.stored import Tables
from experiments.composition.build import plain
from experiments.composition.cli import command

TWO_LAYERS, BETWEEN = "5-centre", "linear_1/w"  # the network of two hidden layers, its weights from one to the other


@command("calibration")
def main(config: DictConfig) -> None:
    """Writes `deviations.csv`, its `summary.csv`, `between.csv` and `variants.csv` to the folder `results`."""
    check(config)
    settings = plain(config)
    tables = Tables(Path(config.results), settings)
    panels = settings["panels"] or list(settings["networks"])

    def table(name: str, panels: list[str], baselines: str, deviations: list[float], parameters: str = "*") -> Any:
        made_with = settings_of(config, baselines, parameters)
        known = tables.known(name, made_with)
        made = runs(config, panels, settings[baselines], deviations, known, parameters)
        whole = tables.extend(name, made_with, known, made)
        return whole[
            whole.panel.isin(panels) & whole.deviation.isin(deviations)
        ]  # others may lack panels: not comparable

    distances = table("deviations", panels, "baselines", settings["deviations"])
    tables.write("summary", summary(distances))
    chosen = nearest(distances)
    print(f"initial deviation {chosen}: its baselines are nearest to the paper's")
    config.optimizee.initial_deviation = chosen
    if settings["between"] and TWO_LAYERS in panels:
        between = table("between", [TWO_LAYERS], "baselines", settings["between"], BETWEEN)
        print(f"between the hidden layers {nearest(between)}")
    if settings["variants"]:
        table("variants", panels, "variants", [chosen])


if __name__ == "__main__":
    main()
