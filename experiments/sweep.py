"""One table that compares the runs of a multirun: `sweep.parquet` and `sweep.csv` in the multirun's folder."""

from pathlib import Path
from typing import Any

import pandas as pd
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from experiments import store


class CompareRuns(Callback):
    """Hydra callback that gathers the histories of all runs when the multirun ends."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Writes the table; one row a run, the best first."""
        folder = Path(config.hydra.sweep.dir)
        table = compare(folder)
        if not table.empty:
            store.write_table(folder / "sweep", table, parquet=True)
            print(f"{folder / 'sweep.csv'}\n{table.to_string(index=False)}")


def compare(folder: Path) -> pd.DataFrame:
    """The runs below a multirun's folder: their overrides, best validation loss and when, time, seed.

    Returns:
        Columns run, one for each overridden key, best_validation_loss, best_epoch, epochs, seconds.
    """
    rows = []
    for path in sorted(folder.glob("*/history.csv")):
        history = pd.read_csv(path)
        best = history.iloc[int(history.validation_loss.argmin())]
        rows.append(
            {"run": path.parent.name}
            | _overrides(path.parent)
            | {
                "best_validation_loss": best.validation_loss,
                "best_epoch": best.epoch,
                "epochs": history.epoch.iloc[-1],
                "seconds": history.seconds.sum(),
            }
        )
    table = pd.DataFrame(rows)
    return table if table.empty else table.sort_values("best_validation_loss", ignore_index=True)


def _overrides(run: Path) -> dict[str, str]:
    path = run / ".hydra" / "overrides.yaml"
    overrides = [str(override).partition("=") for override in OmegaConf.load(path)] if path.exists() else []
    return {key: value for key, _, value in overrides}
