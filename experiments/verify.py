"""Checks that the stored numbers are what today's code makes: `python -m experiments.verify`, or `make verify`.

Every run that a panel of `conf/panel/` asks for is read, checked byte by byte and probed: the first steps of its first
problem are computed again. Every stored trained optimizer is checked against the record of its training, and its
validation loss is computed again.

Main keys:
    panels=[NAME]   some panels alone, without the trained optimizers
    one_in=N        one run and one trained optimizer in so many
    results=FOLDER  whose
"""

import sys
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


@command("verify")
def main(config: DictConfig) -> None:
    """Prints a table, a row per optimizer of a panel or training; ends with status 1 if one differs or is missing."""
    one_in = at_least("one_in", config.one_in, 1)
    keys = panel_keys() if config.panels is None else [one_of("panels", key, panel_keys()) for key in config.panels]
    results = Path(config.results)
    runs = Maker(results, results, config.data.dir)  # no other folder will do
    findings: list[Finding] = check_constants()
    used: set[str] = set()
    for key in tqdm(keys, desc="panels", unit="panel"):
        findings += check_panel(compose_panel(key), runs, one_in, used)
    trained = sorted((results / "trained").glob("*/optimizer.yaml")) if config.panels is None else []
    for path in tqdm(trained[::one_in], desc="trained optimizers", unit="optimizer"):
        findings += check_trained(path.parent, config.data.dir)
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


if __name__ == "__main__":
    main()
