"""Checks that the stored numbers are what today's code makes: `python -m experiments.verify`, or `make verify`.

Every run that a panel of `conf/panel/` asks for is read, checked byte by byte and probed: the first steps of its first
problem are computed again. Every stored trained optimizer is checked against the record of its training, and its
validation loss is computed again.

Main keys:
    panels=[NAME]   some panels alone, without the trained optimizers
    one_in=N        one run and one trained optimizer in so many
    results=FOLDER  whose
    processes=N     how many panels or trained optimizers are checked at once
"""

import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig
from tqdm import tqdm

from experiments.composition.cli import command
from experiments.composition.panel import compose_panel, panel_keys
from experiments.results.making import Maker
from experiments.results.tables import write_table
from experiments.results.verification import Finding, check_constants, check_panel, check_trained, unused_runs
from l2l_tf.checks import at_least, one_of

Checked = tuple[list[Finding], set[str]]  # what was found, and the hashes of the runs that were looked at


@command("verify")
def main(config: DictConfig) -> None:
    """Prints a table, a row per optimizer of a panel or training; ends with status 1 if one differs or is missing."""
    one_in, processes = at_least("one_in", config.one_in, 1), at_least("processes", config.processes, 1)
    keys = panel_keys() if config.panels is None else [one_of("panels", key, panel_keys()) for key in config.panels]
    results = Path(config.results)
    trained = sorted((results / "trained").glob("*/optimizer.yaml")) if config.panels is None else []
    # What takes longest first, so that no process is left with it at the end: trained optimizers, then figures 8 and 7.
    work: list[str | Path] = [*(path.parent for path in trained[::one_in]), *reversed(keys)]
    jobs = [Job(results, config.data.dir, one_in, what) for what in work]
    findings, used = check_constants(), set[str]()
    for found, of_job in tqdm(checked(jobs, processes), total=len(jobs), desc="trained optimizers, panels"):
        findings += found
        used |= of_job
    if config.panels is None:
        findings += unused_runs(results, used)
    table = pd.DataFrame(findings)
    print(table.to_string(index=False))
    wrong = table[table.problem != ""]
    if config.table:
        write_table(Path(config.table), table)
    if len(wrong):
        first = f"{wrong.what.iloc[0]}: {wrong.problem.iloc[0]}"
        sys.exit(f"error: {len(wrong)} of {len(table)} differ or are missing; {first}")
    print(f"all {int(table.runs.sum())} runs come out as stored")


@dataclass(frozen=True)
class Job:
    """A panel, by its name, or a trained optimizer, by its folder, to be checked."""

    results: Path
    data_dir: str
    one_in: int
    what: str | Path

    def run(self) -> Checked:
        """Checks it."""
        used = set[str]()
        if isinstance(self.what, Path):
            return check_trained(self.what, self.data_dir), used
        runs = Maker(self.results, self.results, self.data_dir)  # no other folder will do
        return check_panel(compose_panel(self.what), runs, self.one_in, used), used


def checked(jobs: Sequence[Job], processes: int) -> Iterator[Checked]:
    """Every job's outcome in the order of the jobs, so that the table is the same for any number of processes."""
    if min(processes, len(jobs)) == 1:
        yield from map(Job.run, jobs)
        return
    # Workers are spawned, since TensorFlow cannot be used after a fork; Ctrl-C ends them without a traceback.
    with ProcessPoolExecutor(processes, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_DFL)) as pool:
        yield from pool.map(Job.run, jobs)


if __name__ == "__main__":
    main()
