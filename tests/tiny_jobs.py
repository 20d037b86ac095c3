"""Not a test: a command like `experiments.train` for tests of multiruns, without TensorFlow, which is slow to start.

A job takes four rounds and goes on from the last one that it stored. The job of `seed=1` waits after its second round,
the first time, to be killed: it leaves its process id in the file `waiting`.
"""

import os
import time
from pathlib import Path

import pandas as pd
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from experiments.composition.cli import command
from l2l_tf.errors import InputError
from l2l_tf.files import write_whole


@command("train")
def main(config: DictConfig) -> float:
    """Adds up pseudo-random numbers: `weights` holds the sum, `history.csv` a row for each round."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    history, waiting = folder / "history.csv", folder / "waiting"
    if config.seed == 3:
        raise InputError("seed=3: must be another")
    rows = pd.read_csv(history).to_dict("records") if history.exists() else []
    while len(rows) < 4:
        if config.seed == 1 and len(rows) == 2 and not waiting.exists():
            write_whole(waiting, str(os.getpid()).encode())
            time.sleep(60)
        weights = (rows[-1]["validation_loss"] if rows else 0.0) + config.seed / (len(rows) + 1)
        rows.append({"epoch": len(rows) + 1, "validation_loss": weights, "seconds": 0.0})
        write_whole(folder / "weights", repr(weights).encode())
        write_whole(history, pd.DataFrame(rows).to_csv(index=False).encode())
    return float(rows[-1]["validation_loss"])


if __name__ == "__main__":
    main()
