"""What a meta-step costs, in seconds and in memory, and what sampling saves: `python -m experiments.bench`.

Main keys:
    studies=[engine,sampling,convolutions,short_runs]  which of them
    folder=FOLDER                                      where the tables and the figure go
    quick=true                                         tiny sizes, only to see that everything runs
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.ticker import LogLocator, NullFormatter
from omegaconf import DictConfig
from tqdm import tqdm

from experiments.benchmarks import convolutions, sampling
from experiments.benchmarks.measure import METHODS, OPTIMIZEES, Job, apart, measure
from experiments.benchmarks.short_runs import short_runs
from experiments.composition.build import plain
from experiments.composition.cli import command
from experiments.reports.figures import style
from experiments.results.record import write_record
from experiments.results.tables import write_table
from l2l_tf.checks import one_of
from l2l_tf.files import write_whole

META_STEPS = METHODS[:3]
QUICK = {
    "memory_limit": None,
    "layers": [2],
    "steps": 2,
    "repeats": 1,
    "coordinates": [100],
    "unrolls": [2],
    "fractions": [0.5],
    "trained": {"quadratics": None},
    "optimizees": ["quadratics"],
}


def row(study: str, job: Job, gib: float | None, bar: tqdm) -> dict[str, Any]:
    """Measures one method; its seconds and peak are missing if it ran out of memory."""
    bar.set_postfix_str(f"{job.optimizee}, T = {job.steps}, {job.methods[0]}")
    found = apart(gib, measure, job) or {"seconds": {}, "peak": np.nan}
    bar.update()
    return {
        "study": study,
        "optimizee": job.optimizee,
        "steps": job.steps,
        "method": job.methods[0],
        "seconds": found["seconds"].get(job.methods[0], np.nan),
        "peak_gib": found["peak"],
    }


def compare(job: Job, gib: float | None, bar: tqdm) -> list[dict[str, Any]]:
    """All methods on one optimizee: each one's peak alone, then the seconds of those that fit, side by side."""
    rows = [row("optimizees", replace(job, methods=(name,), repeats=1), gib, bar) for name in job.methods]
    fitting = tuple(entry["method"] for entry in rows if not np.isnan(entry["peak_gib"]))
    bar.set_postfix_str(f"{job.optimizee}, side by side")
    found = apart(gib and 10 * gib, measure, replace(job, methods=fitting)) or {"seconds": {}}
    bar.update()
    return [entry | {"seconds": found["seconds"].get(entry["method"], np.nan)} for entry in rows]


def grow(study: str, jobs: list[Job], gib: float | None, bar: tqdm) -> list[dict[str, Any]]:
    """Each meta-step method over growing jobs; what has run out of memory once is not tried on larger ones."""
    rows: list[dict[str, Any]] = []
    for method in META_STEPS:
        found: dict[str, Any] = {"seconds": 0.0}
        for job in jobs:
            if np.isnan(found["seconds"]):
                found = found | {"optimizee": job.optimizee, "steps": job.steps}
                bar.update()
            else:
                found = row(study, replace(job, methods=(method,)), gib, bar)
            rows.append(found)
    return rows


def engine(config: DictConfig) -> pd.DataFrame:
    """One row per study, optimizee, unroll length and method."""
    gib = config.memory_limit
    job = Job("", tuple(config.layers), config.steps, config.fraction, config.repeats, METHODS)
    sizes = [replace(job, optimizee=str(count)) for count in config.coordinates]
    lengths = [replace(job, optimizee="10000", steps=steps) for steps in config.unrolls]
    measurements = len(config.optimizees) * (len(METHODS) + 1) + len(META_STEPS) * (len(sizes) + len(lengths))
    rows: list[dict[str, Any]] = []
    with tqdm(total=measurements, desc="bench", unit="measurement") as bar:
        for name in config.optimizees:
            rows += compare(replace(job, optimizee=name), gib, bar)
        rows += grow("coordinates", sizes, gib, bar) + grow("unroll", lengths, gib, bar)
    return pd.DataFrame(rows)


def report(frame: pd.DataFrame, config: DictConfig, machine: Mapping[str, Any]) -> str:
    """The engine study in words and tables."""
    lines = [
        "# The cost of a meta-step",
        "",
        f"{machine['processor']}, {machine['cores']} cores, TensorFlow {tf.__version__}. "
        f"LSTM layers {list(config.layers)}; T = {config.steps}; sampled: {config.fraction:g} of large tensors' "
        f"coordinates; medians of {config.repeats}; memory: a process's peak, TensorFlow's own included; – : more than "
        f"{config.memory_limit} GiB.",
        "",
        "- autodiff: plain automatic differentiation through the unroll",
        "- exact, sampled: rollout and replay (tensors below 1024 coordinates, the quadratics' too, are never sampled)",
        "- where the LSTM's states of T steps fit into 256 MiB, exact keeps those of the rollout",
        "- rollout, optimizee: the forward run with the LSTM, and with SGD instead (what the optimizee itself costs)",
        "- floor: the LSTM's matrix products, of rollout and backward pass alone; gates: its sigmoids and tanhs",
    ]
    titles = {"optimizees": "optimizee", "coordinates": "coordinates", "unroll": "T"}
    for study, title in titles.items():
        part = frame[frame.study == study].assign(T=frame.steps, coordinates=frame.optimizee)
        tables = {}
        for column, unit, digits in (("seconds", "Seconds", 4), ("peak_gib", "Peak GiB", 2)):
            table = part.pivot_table(column, title, "method", sort=False, dropna=False)[list(part.method.unique())]
            tables[column] = table
            lines += ["", f"## {unit} by {title}", "", *markdown(table, digits)]
        if study == "optimizees":
            lines += ["", *(ratios(str(name), times) for name, times in tables["seconds"].iterrows())]
        if study == "coordinates":
            nanoseconds = 1e9 * tables["seconds"].div(tables["seconds"].index.astype(int), axis="index")
            lines += ["", "## Nanoseconds per coordinate and step", "", *markdown(nanoseconds / config.steps, 0)]
    return "\n".join([*lines, ""])


def ratios(name: str, seconds: pd.Series) -> str:
    """How the methods compare on one optimizee, and where the time goes."""
    s = seconds
    against = "runs out of memory"
    if np.isfinite(s.autodiff):
        against = f"takes {s.autodiff / s.exact:.2f} times as long as exact and {s.autodiff / s.sampled:.2f} as sampled"
    own = s.floor / 4 + s.gates / 2  # of the backward pass too, which repeats both and has two more products
    return (
        f"- {name}: autodiff {against}; exact takes {s.exact / s.floor:.2f} times as long as the floor. "
        f"Of exact's {s.exact:.3f} s the optimizee takes {s.optimizee:.3f}, the LSTM's rollout "
        f"{s.rollout - s.optimizee:.3f}, the replay {s.exact - s.rollout:.3f} (sampled: {s.sampled - s.rollout:.3f}). "
        f"Of the LSTM's {s.exact - s.optimizee:.3f} s its matrix products alone take {s.floor:.3f}, its sigmoids and "
        f"tanhs {s.gates:.3f}; the rest goes to their derivatives, and to and from memory. The LSTM's rollout takes "
        f"{(s.rollout - s.optimizee) / own:.2f} times as long as its own matrix products and gates alone."
    )


def markdown(table: pd.DataFrame, digits: int) -> list[str]:
    """The lines of a Markdown table."""
    head = [str(table.index.name), *map(str, table.columns)]
    cells = [
        [str(name), *(f"{x:.{digits}f}" if np.isfinite(x) else "–" for x in row)] for name, *row in table.itertuples()
    ]
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *cells)]


def plot(frame: pd.DataFrame, folder: Path) -> None:
    """Seconds and memory against coordinates and unroll length, log-log."""
    colours = dict(
        zip(META_STEPS, (style.COLOURS["NAG"], style.COLOURS["LSTM"], style.COLOURS["RMSprop"]), strict=True)
    )
    with style.applied():
        figure, axes = style.grid(2, 2)
        for row, (study, label) in zip(
            axes, {"coordinates": "coordinates", "unroll": "unroll length T"}.items(), strict=True
        ):
            part = frame[frame.study == study]
            columns = (("seconds", "seconds", (1,)), ("peak_gib", "peak GiB", (1, 2, 5)))
            for ax, (column, unit, ticks) in zip(row, columns, strict=True):
                for method, colour in colours.items():
                    line = part[part.method == method]
                    x = line.optimizee.astype(int) if study == "coordinates" else line.steps
                    ax.loglog(x, line[column], "o-", color=colour, markersize=3, label=method)
                ax.yaxis.set_major_locator(LogLocator(subs=ticks))
                ax.yaxis.set_major_formatter("{x:g}")
                ax.yaxis.set_minor_formatter(NullFormatter())
                ax.set_xlabel(label)
                ax.set_ylabel(unit)
        axes[0][0].legend(frameon=False)
        style.save(figure, folder, "engine")


STUDIES: dict[str, Callable[[DictConfig], pd.DataFrame]] = {
    "engine": engine,
    "sampling": sampling.study,
    "convolutions": lambda config: convolutions.study(config.repeats),
    "short_runs": lambda config: short_runs(plain(config)["short_runs"], config.data.dir),
}


@command("bench", threads_of_an_operation=lambda _: 0)
def main(config: DictConfig) -> None:
    """Runs the studies that the configuration names and writes their tables."""
    studies = [one_of("studies", study, STUDIES) for study in config.studies]
    for name in config.optimizees:
        one_of("optimizees", name, OPTIMIZEES)
    if config.quick:
        config.merge_with(QUICK)
    folder = Path(config.folder)
    for study in studies:
        began = time.monotonic()
        frame = STUDIES[study](config)
        write_table(folder / study, frame)
        record = write_record(folder / study, plain(config), time.monotonic() - began)
        if study == "engine":
            write_whole(folder / "engine.md", report(frame, config, record).encode())
            plot(frame, folder)


if __name__ == "__main__":
    main()
