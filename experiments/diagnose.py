"""Why does this meta-training not learn? `python -m experiments.diagnose runs/quadratic`.

Examines the φ that training started with, the best one and the last one; prints what it measures, what healthy values
look like and what to try otherwise, and names the fault. `diagnosis.csv` and `diagnosis.png` go to the run's folder.

Main keys:
    FOLDER      that experiments.train left
    problems=N  validation problems that it is examined on
    horizon=N   how many times the trained length to go on
"""

import io
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from omegaconf import DictConfig

from experiments.composition.build import (
    MetaTraining,
    meta_training,
    own_or_trusted,
    plain,
    read_config,
    starting_optimizer,
    trained_config,
)
from experiments.composition.cli import command
from experiments.reports.figures import style
from experiments.results.tables import read_table, write_table
from experiments.results.trainings import fingerprint
from l2l_tf.checks import instance_of
from l2l_tf.diagnostics.measures import Examiner
from l2l_tf.diagnostics.rules import Finding, find_faults
from l2l_tf.errors import InputError
from l2l_tf.files import load_arrays, write_whole
from l2l_tf.meta import Schedule
from l2l_tf.meta.checkpoint import Weights, load_checkpoint
from l2l_tf.optimizers import everything
from l2l_tf.serialization.build import Resolve
from l2l_tf.serialization.trained import read_variables

HISTORY = ("update", "meta_loss", "validation_loss")
LEGEND_LINES = 8


@dataclass(frozen=True)
class Measure:
    """A measure as it is reported: what a healthy value looks like, and what to try when it is not.

    Attributes:
        name: in the table, and the panel's title.
        y: what its values are.
        phis: the φ that are reported and drawn.
        x: what its positions are.
        log: whether values are drawn on a log axis.
    """

    name: str
    y: str
    healthy: str
    otherwise: str
    phis: tuple[str, ...] = ("last",)
    x: str = "step"
    log: bool = False


MEASURES = (
    Measure(
        "training curves",
        "loss",
        "both fall; validation ends near its best",
        "rising or jumping: lower schedule.learning_rate, set schedule.clip_norm; flat: see the other panels",
        phis=("training",),
        x="meta-update",
        log=True,
    ),
    Measure(
        "loss",
        "mean loss of validation problems",
        "falls within the trained length (dotted) and stays down after it",
        "rising after it: longer schedule.steps, or lengths that vary (schedule.shortest)",
        phis=("untrained", "last"),
        log=True,
    ),
    Measure(
        "meta-gradient norm",
        "‖dL/dφ‖, by tensor of φ",
        "no tensor's is zero; the unrolls' lie within two decades or so",
        "zero: schedule.weights=all, a larger optimizer.output_scale; uneven: schedule.clip_norm, schedule=staggered",
        log=True,
    ),
    Measure(
        "meta-gradient cosine",
        "between an unroll and the one before",
        "positive or near zero between successive meta-steps",
        "near -1: the meta-steps overshoot, lower schedule.learning_rate; or average more schedule.problems",
    ),
    Measure(
        "relative update",
        "‖g‖ / ‖θ‖, by tensor of θ",
        "below 1 after the first steps",
        "above 1: lower optimizer.output_scale or optimizer.output_deviation; below 1e-6: raise them",
        phis=("untrained", "last"),
        log=True,
    ),
    Measure(
        "saturated gates",
        "share of coordinates",
        "less than half of each gate, except forget gates, which may stay open",
        "start again with a lower schedule.learning_rate; with raw gradients as inputs: optimizer=lstm_preprocessed",
    ),
    Measure(
        "preprocessed inputs",
        "share of coordinates",
        "most in the logarithm's branch, the linear one for the smallest gradients",
        "mostly linear: raise optimizer.preprocessing.p",
        phis=("untrained", "last"),
    ),
    Measure(
        "saturated hidden units",
        "share of units",
        "less than half, no more than at step 0",
        "rising within the first steps: lower optimizer.output_scale; high from step 0: optimizee.initial_deviation",
        phis=("untrained", "last"),
    ),
)


@dataclass(frozen=True)
class Run:
    """What a training left: its configuration, the φ worth examining by name, and the history of its rounds.

    Attributes:
        resolve: finds what the configuration, which others may have written, may name.
    """

    folder: Path
    config: DictConfig
    resolve: Resolve
    phis: dict[str, Weights]
    history: pd.DataFrame


def positional(argument: str) -> str:
    """A command-line argument that is a folder, rather than an override, as the override that Hydra understands."""
    is_folder = Path(argument).is_dir() or not ("=" in argument or argument.startswith("-"))
    return f"run='{argument}'" if is_folder else argument


@command("diagnose")
def main(config: DictConfig) -> None:
    """Diagnoses the run in the folder `run`."""
    if config.run is None:
        raise InputError("run=null: must be the folder that experiments.train left, such as runs/quadratic")
    run = read_run(Path(config.run), config.data.dir, own_or_trusted(config.trust))
    training = meta_training(run.config, run.resolve)
    schedule = training.schedule
    instance_of("schedule", schedule, Schedule)
    tables = examine(run, training, config.problems, config.horizon)
    findings = find_faults(tables, schedule)
    table = pd.concat(
        [training_curves(run), *(frame.assign(phi=name) for name, frame in tables.items())], ignore_index=True
    )[["phi", "measure", "part", "position", "value"]]
    print(report(run, schedule, table, findings))
    write_table(run.folder / "diagnosis", table)
    write_whole(run.folder / "diagnosis.png", draw(table, schedule, findings))


# Reading what the training left.


def read_run(folder: Path, data: str | None, resolve: Resolve) -> Run:
    """Reads a run's folder, whatever of it is there: a run that stopped at its first NaN has no checkpoint.

    Args:
        data: folder of the data sets; None for the one that the training used.
        resolve: finds what the configuration may name.

    Raises:
        InputError: there is no run here, or one of its files is damaged.
    """
    config = training_config(folder)
    if data is not None and "data" in config.optimizee:
        config.optimizee.data.directory = data
    phis = {"untrained": read_variables(everything(starting_optimizer(config, resolve)))}
    checkpoint, trained = folder / "checkpoint.safetensors", folder / "optimizer.safetensors"
    if checkpoint.exists():
        loaded = load_checkpoint(checkpoint, fingerprint(plain(config)))
        phis |= {"best": loaded.best_weights, "last": loaded.weights}
    elif trained.exists():  # a trained optimizer that was taken out of its run
        phis |= {"last": load_arrays(trained)}
    return Run(folder, config, resolve, phis, read_history(folder / "history.csv"))


def training_config(folder: Path) -> DictConfig:
    """The composed configuration, from the provenance of the last round or, before the first, from Hydra's own copy."""
    paths = [folder / "provenance.yaml", folder / ".hydra" / "config.yaml"]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        raise InputError(f"run={folder}: experiments.train left nothing here (no provenance.yaml, no .hydra)")
    content = read_config(path)
    return trained_config(content.get("config") if path == paths[0] and isinstance(content, dict) else content, path)


def read_history(path: Path) -> pd.DataFrame:
    """The rounds of a training; no rows if there were none."""
    if not path.exists():
        return pd.DataFrame(columns=list(HISTORY))
    history = read_table(path, HISTORY)
    if history["update"].isna().any():
        raise InputError(f"{path}: update must be numbers")
    return history


# Measuring.


def examine(run: Run, training: MetaTraining, problems: int, horizon: int) -> dict[str, pd.DataFrame]:
    """The measures of each φ; of the best one only the losses."""
    examiner = Examiner(*training, min(problems, training.schedule.validation.problems), horizon)
    return {
        name: examiner.losses(weights) if name == "best" else examiner.examine(weights)
        for name, weights in run.phis.items()
    }


def training_curves(run: Run) -> pd.DataFrame:
    """The history as rows of the table of measures."""
    curves = run.history.rename(columns={"meta_loss": "meta-loss a step", "validation_loss": "validation loss"})
    rows = curves.melt("update", ["meta-loss a step", "validation loss"], var_name="part")
    rows = rows.rename(columns={"update": "position"}).assign(phi="training", measure="training curves")
    return rows.astype({"position": float, "value": float})


# Telling.


def report(run: Run, schedule: Schedule, table: pd.DataFrame, findings: list[Finding]) -> str:
    """All measures with a line on what is healthy, and then the verdict."""
    lines = [f"{run.folder}: {progress(run, schedule)}"]
    for measure in MEASURES:
        lines += ["", *described(measure, table)]
    lines += ["", *verdict(findings)]
    return "\n".join(lines)


def progress(run: Run, schedule: Schedule) -> str:
    """How far training came."""
    if run.history.empty:
        return "training left no checkpoint, so φ is examined as it was before training"
    done = int(run.history["update"].iloc[-1])
    line = f"φ as it was after {done} of {schedule.updates} meta-updates"
    patience = schedule.validation.patience
    rounds_since_best = len(run.history) - 1 - int(run.history.validation_loss.fillna(np.inf).argmin())
    if done >= schedule.updates or (patience is not None and rounds_since_best >= patience):
        return line
    return (
        f"{line}; training has not finished (if a value that is not finite stopped it: lower schedule.learning_rate "
        "or set schedule.clip_norm)"
    )


def described(measure: Measure, table: pd.DataFrame) -> list[str]:
    """A measure's values in short, and its advice."""
    rows = table[table.measure == measure.name]
    lines = [measure.name]
    for phi in measure.phis:
        for part, values in rows[rows.phi == phi].groupby("part", sort=False).value:
            label = " ".join(word for word in (phi, str(part)) if word)
            lines.append(
                f"  {label}: {values.iloc[0]:.3g} at first, {values.iloc[-1]:.3g} at last, "
                f"within {values.min():.3g} and {values.max():.3g}"
            )
    if len(lines) == 1:
        lines.append("  not measured: this training has none")
    return [*lines, f"  healthy: {measure.healthy}", f"  otherwise: {measure.otherwise}"]


def verdict(findings: list[Finding]) -> list[str]:
    """The fault, the reason why it is named, what to try; then what else was found, which may follow from it."""
    if not findings:
        return ["fault: nothing found"]
    lines = []
    for title, finding in zip(["fault", *["also"] * (len(findings) - 1)], findings, strict=True):
        lines += [f"{title}: {finding.fault}", f"  because {finding.evidence}", f"  try {finding.remedy}"]
    return lines


# Drawing.


def draw(table: pd.DataFrame, schedule: Schedule, findings: list[Finding]) -> bytes:
    """All measures, one panel each, as a PNG."""
    columns = 4
    with style.applied():
        figure = Figure(figsize=(4.4 * columns, 9.4), layout="constrained")
        grid = figure.subplots(-(-len(MEASURES) // columns), columns).ravel()
        for axes, measure in zip(grid, MEASURES, strict=True):
            draw_measure(axes, measure, table[table.measure == measure.name])
        grid[1].axvline(schedule.steps, color="black", linestyle=":", linewidth=1)
        figure.suptitle(f"fault: {findings[0].fault}" if findings else "fault: nothing found", fontsize=14)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=90, metadata={"Software": None})
    return content.getvalue()


def draw_measure(axes: Axes, measure: Measure, rows: pd.DataFrame) -> None:
    """One panel: a colour for each part, dashes for the untrained φ."""
    parts = {part: f"C{index % 10}" for index, part in enumerate(rows.part.unique())}
    drawn = rows[rows.phi.isin(measure.phis) & np.isfinite(rows.value)]
    if measure.log:
        drawn = drawn[drawn.value > 0]
    for (phi, part), line in drawn.groupby(["phi", "part"], sort=False):
        label = ", ".join(word for word in (str(part), f"{phi} φ" if len(measure.phis) > 1 else "") if word)
        dashes = "--" if phi == "untrained" else "-"
        marker = "o" if len(line) < 10 else ""
        axes.plot(line.position, line.value, dashes, color=parts[part], marker=marker, markersize=4, label=label)
    if measure.log and not drawn.empty:
        axes.set_yscale("log")
    elif measure.name == "meta-gradient cosine":
        axes.set_ylim(-1.05, 1.05)
    else:
        axes.set_ylim(-0.02, 1.02)
    if drawn.empty:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color="grey")
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        axes.legend(handles[:LEGEND_LINES], labels[:LEGEND_LINES], fontsize=7, framealpha=0.7)
    axes.set_title(measure.name)
    axes.set_ylabel(measure.y, fontsize=9)
    axes.set_xlabel("\n".join([measure.x, *textwrap.wrap(f"healthy: {measure.healthy}", 50)]), fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


if __name__ == "__main__":
    sys.argv[1:] = [positional(argument) for argument in sys.argv[1:]]
    main()
