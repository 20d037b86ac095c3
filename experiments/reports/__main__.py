"""Tables and figures from the stored runs: `python -m experiments.reports [--results FOLDER] [--no-paper]`."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import pandas as pd

from experiments.composition.panel import Panel, compose_panel, panel_keys
from experiments.composition.side_by_side import side_by_side
from experiments.reports import figures
from experiments.reports.claims import RULE, Stored, claims_table
from experiments.reports.claims_page import at_a_glance
from experiments.reports.paper_tables import paper_leads, paper_markdown, paper_table
from experiments.reports.tables import accuracy_table, final_loss_table, transfer_table
from experiments.reports.trainings import trainings_table
from experiments.reports.update_claims import update_claims
from experiments.results.queries import PanelRuns, stored_panel
from experiments.results.tables import write_table
from l2l_tf.errors import InputError
from l2l_tf.files import write_whole


def stored_panels(results: Path, panels: Sequence[Panel] = ()) -> Stored:
    """The panels that have stored runs, by their key.

    Args:
        panels: as a command has composed them; the others are as `conf/panel/` has them.
    """
    given = {panel.key: panel for panel in panels}

    def read(key: str) -> PanelRuns | None:
        return stored_panel(given.get(key) or compose_panel(key), results)

    keys = panel_keys()
    found = zip(keys, side_by_side([partial(read, key) for key in keys]), strict=True)
    return {key: runs for key, runs in found if runs is not None}


def write_reports(results: Path, panels: Sequence[Panel] = (), paper: bool = True) -> list[Path]:
    """Writes `tables/` and `figures/`, and says which panels lack runs.

    Args:
        paper: whether figures have the paper's own curves under ours.

    Raises:
        InputError: a stored file is bad, or a table or figure cannot be written.
    """
    stored = stored_panels(results, panels)
    for key, runs in stored.items():
        for lacking in runs.missing:
            print(f"{key}: no stored run of {lacking}; python -m experiments.evaluate panel={key} makes it")
    tasks = figures.drawings(results, stored, paper)
    tasks.append(partial(write_tables, results, stored))
    written = list(chain(*side_by_side(tasks)))
    print("\n".join(map(str, written)))
    return written


def write_tables(results: Path, stored: Stored) -> list[Path]:
    """The tables; those that have nothing to say are left out."""
    folder = results / "tables"
    claims = pd.concat([claims_table(stored), update_claims(results)], ignore_index=True)
    theirs, leads = paper_table(stored), paper_leads(stored)
    write_whole(folder / "claims.md", f"# Claims\n\n{at_a_glance(claims, leads, theirs)}\n{RULE}".encode())
    write_whole(folder / "paper.md", paper_markdown(theirs, leads).encode())
    tables: dict[str, pd.DataFrame] = {
        "paper": theirs,
        "paper_leads": leads,
        "claims": claims,
        "final_loss": final_loss_table(stored),
        "accuracy": accuracy_table(stored),
        "trainings": trainings_table(results),
        "transfer": transfer_table(stored),
    }
    written = [write_table(folder / name, table) for name, table in tables.items() if len(table)]
    return [folder / "claims.md", folder / "paper.md", *written]


def run() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write tables and figures from stored runs.")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--paper", action=argparse.BooleanOptionalAction, default=True, help="its curves under ours")
    arguments = parser.parse_args()
    try:
        write_reports(arguments.results, paper=arguments.paper)
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run()
