"""What was tried: one row for every stored training, from its provenance and its history.

`results/trained/` holds the optimizers that the figures show; `results/tried/trainings.csv` has the rows of trainings
that were not kept, and a few of their histories stand beside it; `results/sweeps/` has the tables of searches.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.results.record import read_record
from experiments.results.tables import read_table
from l2l_tf.errors import InputError

TRIED = Path("tried") / "trainings.csv"
SCHEDULE = (
    *("steps", "shortest", "unroll", "problems", "optimizations", "at_once"),
    *("learning_rate", "decay", "clip_norm", "weights", "second_derivatives", "curvature_limit"),
)
OPTIMIZER = ("output_scale", "output_deviation")
PREPROCESSING = ("p", "derivative_width")


def trainings_table(results: Path) -> pd.DataFrame:
    """One row per training: its name, what was varied, and what it gave.

    Returns:
        Columns experiment, training (the folder), the schedule's and the optimizer's settings (of several groups the
        last's, and the first's as `first_...`), meta_updates, best_validation_loss, best_at (meta-update),
        hours, revision.

    Raises:
        InputError: a record or the table of what was tried cannot be read.
    """
    records = sorted((results / "trained").glob("*/provenance.yaml"))
    table = pd.DataFrame([_row(path, str(path.parent.relative_to(results))) for path in records])
    path = results / TRIED
    if path.exists():
        tried = read_table(path, others=["experiment", "training"])
        table = pd.concat([table, tried.assign(training="tried/" + tried.training.astype(str))], ignore_index=True)
    return table.sort_values(["experiment", "training"]) if len(table) else table


def _row(path: Path, name: str) -> dict[str, Any]:
    try:
        record = read_record(path)
        history = read_table(path.with_name("history.csv"), ["update", "validation_loss"])
        config, best = record["config"], history.iloc[int(history.validation_loss.fillna(np.inf).argmin())]
        schedule, optimizer = config["schedule"], config["optimizer"]
        beginning = schedule.get("beginning") or {}
        groups = [group["optimizer"] for group in optimizer.get("groups", [])] or [optimizer]
        training = config["optimizee"] | config.get("train_on", {})
        return {
            "experiment": config["name"],
            "training": name,
            **{key: schedule.get(key) for key in SCHEDULE},
            **{f"beginning_{key}": beginning.get(key) for key in ("epochs", "unroll", "second_derivatives")},
            "fraction": schedule["replay"]["fraction"],
            "optimizer": groups[-1]["_target_"].rpartition(".")[2],
            **_settings(groups[-1]),
            **{f"first_{key}": value if len(groups) > 1 else None for key, value in _settings(groups[0]).items()},
            "functions": config["optimizee"].get("functions"),
            "batch_size": training.get("batch_size"),
            "subset": training.get("subset"),
            "shrink_by": training.get("data", {}).get("shrink_by"),
            "meta_updates": int(history["update"].iloc[-1]),
            "best_validation_loss": best.validation_loss,
            "best_at": int(best["update"]),
            "hours": record["seconds"] / 3600,
            "revision": ", ".join(f"{str(one)[:7]}{'+' * str(one).endswith('+')}" for one in record["revisions"]),
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: no readable record of a training ({' '.join(str(error).split())})") from error


def _settings(optimizer: dict[str, Any]) -> dict[str, Any]:
    preprocessing = optimizer.get("preprocessing", {})
    return {key: optimizer.get(key) for key in OPTIMIZER} | {key: preprocessing.get(key) for key in PREPROCESSING}
