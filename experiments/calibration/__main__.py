"""Calibrates the initial deviation by the paper's baseline curves: `python -m experiments.calibration`."""

import time
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.calibration.nearest import nearest, summary
from experiments.calibration.runs import check, runs
from experiments.composition.build import plain
from experiments.composition.cli import command
from experiments.results.record import write_record
from l2l_tf.files import write_whole

TWO_LAYERS, BETWEEN = "5-centre", "linear_1/w"  # the network of two hidden layers, its weights from one to the other


class Tables:
    """What the calibration stores in its folder: tables, and beside each what made it."""

    def __init__(self, config: DictConfig):
        self.folder = Path(config.results)
        self.config = plain(config)
        self.began = time.monotonic()

    def write(self, name: str, table: pd.DataFrame) -> None:
        """`<name>.csv` and `<name>.provenance.yaml`."""
        text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        write_whole(self.folder / f"{name}.csv", text.encode())
        write_record(self.folder / name, self.config, time.monotonic() - self.began)


@command("calibration")
def main(config: DictConfig) -> None:
    """Writes `deviations.csv`, its `summary.csv`, `between.csv` and `variants.csv` to the folder `results`."""
    check(config)
    settings, tables = plain(config), Tables(config)
    panels, baselines = settings["panels"] or list(settings["networks"]), settings["baselines"]
    distances = pd.DataFrame(runs(config, panels, baselines, settings["deviations"]))
    tables.write("deviations", distances)
    tables.write("summary", summary(distances))
    chosen = nearest(distances)
    print(f"initial deviation {chosen}: its baselines are nearest to the paper's")
    config.optimizee.initial_deviation = chosen
    if settings["between"] and TWO_LAYERS in panels:
        distances = pd.DataFrame(runs(config, [TWO_LAYERS], baselines, settings["between"], BETWEEN))
        tables.write("between", distances)
        print(f"between the hidden layers {nearest(distances)}")
    if settings["variants"]:
        tables.write("variants", pd.DataFrame(runs(config, panels, settings["variants"], [chosen])))


if __name__ == "__main__":
    main()
