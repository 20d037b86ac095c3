"""One table that compares the runs of a multirun: `sweep.parquet` and `sweep.csv` in the multirun's folder."""

import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from experiments.composition.cli import BAD_INPUT, one_line
from experiments.results.tables import read_table, write_table
from l2l_tf.errors import InputError
from l2l_tf.files import write_whole
from l2l_tf.serialization.plain_yaml import read_yaml, write_yaml

ERROR = "error.txt"  # in the folder of a run that failed: why, in one line; below it, the traceback of a surprise


class ReportFailures(Callback):
    """Hydra callback by which a job that fails, or whose worker is lost, loses itself alone and is named at the end."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Forgets the failures of earlier multiruns."""
        for note in Path(config.hydra.sweep.dir).rglob(ERROR):
            note.unlink()

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Notes in a job's folder why it failed, and lets Hydra, which would end the multirun there, go on.

        It runs where the job ran, except for a job whose worker was lost: for that one,
        where the multirun was started.
        """
        if config.hydra.mode != RunMode.MULTIRUN:
            return
        folder = Path(config.hydra.runtime.output_dir)
        note, overrides = folder / ERROR, folder / ".hydra" / "overrides.yaml"
        if not overrides.exists():  # a refused training has written none
            write_whole(overrides, write_yaml(list(config.hydra.overrides.task)))
        if job_return.status == JobStatus.COMPLETED:
            note.unlink(missing_ok=True)  # of an earlier attempt
        else:
            error = job_return._return_value  # the property `return_value` raises it
            write_whole(note, reason(error).encode())
            job_return.status, job_return.return_value = JobStatus.COMPLETED, float("inf")  # worst for any sweeper

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Ends with status 1, and one line per job, if any failed."""
        folder = Path(config.hydra.sweep.dir)
        failed = {str(note.parent.relative_to(folder)): _why(note.parent) for note in sorted(folder.rglob(ERROR))}
        if failed:
            print(*(f"{run}: {why}" for run, why in failed.items()), sep="\n", file=sys.stderr)
            sys.exit(f"error: {len(failed)} jobs failed; the same command does what is left")


class CompareRuns(ReportFailures):
    """The same for trainings, and a table of their histories. Its rows are all that the folder has, of earlier too."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Keeps what earlier multiruns noted."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Writes the table; one row per run, the best first, the failed last. Ends with status 1 if there are any."""
        folder = Path(config.hydra.sweep.dir)
        table = compare(folder)
        if table.empty:
            return
        varying = [name for name in table if name == "run" or len(set(table[name])) > 1]
        write_table(folder / "sweep", table)
        write_whole(folder / "sweep.parquet", table.to_parquet(index=False))
        print(f"{folder / 'sweep.csv'}\n{table[varying].to_string(index=False)}")
        super().on_multirun_end(config)


def reason(error: BaseException) -> str:
    """Why a run failed: a line for what can be expected, a line and the traceback for what cannot."""
    if isinstance(error, BAD_INPUT):
        return one_line(error)
    line = " ".join(f"{type(error).__name__}: {error}".split())
    return "\n\n".join([f"{line}; the run's {ERROR} has the traceback", "".join(traceback.format_exception(error))])


def compare(folder: Path) -> pd.DataFrame:
    """The runs below a multirun's folder: their overrides, best validation loss and when, time, and why they failed.

    Returns:
        Columns run, one for each overridden key, best_validation_loss, best_epoch, epochs, seconds (missing where a
        run failed before its first validation), error (empty where it did not fail).
    """
    runs = sorted({path.parent for name in ("history.csv", ERROR) for path in folder.rglob(name)})
    rows = [{"run": str(run.relative_to(folder)), **_overrides(run), **_outcome(run)} for run in runs]
    rows.sort(key=lambda row: (row["error"] != "", row["best_validation_loss"]))
    return pd.DataFrame(rows)


def _outcome(run: Path) -> dict[str, Any]:
    history = run / "history.csv"
    outcome: dict[str, Any] = dict.fromkeys(("best_validation_loss", "best_epoch", "epochs", "seconds"), float("nan"))
    if history.exists():
        rounds = read_table(history, ["epoch", "validation_loss", "seconds"])
        best = rounds.iloc[int(rounds.validation_loss.fillna(np.inf).argmin())]
        outcome["best_validation_loss"], outcome["best_epoch"] = best.validation_loss, best.epoch
        outcome["epochs"], outcome["seconds"] = rounds.epoch.iloc[-1], rounds.seconds.sum()
    return outcome | {"error": _why(run)}


def _why(run: Path) -> str:
    """Why a run failed, in one line; empty if it did not."""
    note = run / ERROR
    return note.read_text(encoding="utf-8").partition("\n")[0] if note.exists() else ""


def _overrides(run: Path) -> dict[str, str]:
    path = run / ".hydra" / "overrides.yaml"
    overrides = read_yaml(path) if path.exists() else []
    if not isinstance(overrides, list):
        raise InputError(f"{path}: must be a list of overrides")
    return {key: value for key, _, value in (str(override).partition("=") for override in overrides)}
