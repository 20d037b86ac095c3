"""Calibrates the initial deviation by the paper's baseline curves: `python -m experiments.calibration`."""

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.calibration.nearest import nearest, summary
from experiments.calibration.runs import check, runs
from experiments.composition.build import plain
from experiments.composition.cli import command
from l2l_tf.files import write_whole

TWO_LAYERS, BETWEEN = "5-centre", "linear_1/w"  # the network of two hidden layers, its weights from one to the other


def write(folder: Path, name: str, table: pd.DataFrame) -> None:
    """A table as `<folder>/<name>.csv`."""
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_whole(folder / f"{name}.csv", text.encode())


@command("calibration")
def main(config: DictConfig) -> None:
    """Writes `deviations.csv`, its `summary.csv`, `between.csv` and `variants.csv` to the folder `results`."""
    check(config)
    settings, folder = plain(config), Path(config.results)
    panels, baselines = list(settings["networks"]), settings["baselines"]
    distances = pd.DataFrame(runs(config, panels, baselines, settings["deviations"]))
    write(folder, "deviations", distances)
    write(folder, "summary", summary(distances))
    chosen = nearest(distances)
    print(f"initial deviation {chosen}: its baselines are nearest to the paper's")
    config.optimizee.initial_deviation = chosen
    if settings["between"] and TWO_LAYERS in panels:
        distances = pd.DataFrame(runs(config, [TWO_LAYERS], baselines, settings["between"], BETWEEN))
        write(folder, "between", distances)
        print(f"between the hidden layers {nearest(distances)}")
    if settings["variants"]:
        write(folder, "variants", pd.DataFrame(runs(config, panels, settings["variants"], [chosen])))


if __name__ == "__main__":
    main()
