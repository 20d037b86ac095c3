"""The calibration's tables, written row by row: a command goes on where it was stopped, and adds to what is there."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.results.record import provenance, short_revision, write_record
from experiments.results.tables import read_table, write_table


class Tables:
    """What a calibration stores in its folder: tables, each row with its settings' digest and its revision.

    Args:
        folder: of the tables.
        config: the composed configuration, which is written beside each table.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]):
        self.folder, self.config = folder, config
        self.began = time.monotonic()
        self.revision = short_revision(provenance(0.0))

    def known(self, name: str, settings: str) -> pd.DataFrame:
        """The rows of `<name>.csv` that were made with these settings; none if there is no such table.

        Raises:
            InputError: the table is damaged.
        """
        path = self.folder / f"{name}.csv"
        if not path.exists():
            return pd.DataFrame(columns=["deviation", "panel", "optimizer", "settings"])
        table = read_table(path, ["deviation", "distance"], ["panel", "optimizer", "settings"])
        return table[table.settings == settings]

    def write(self, name: str, table: pd.DataFrame) -> None:
        """Writes `<name>.csv` and `<name>.provenance.yaml`.

        Raises:
            InputError: one of them cannot be written.
        """
        write_table(self.folder / name, table)
        write_record(self.folder / name, self.config, time.monotonic() - self.began)

    def extend(self, name: str, settings: str, known: pd.DataFrame, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
        """Adds rows to those that are known, and writes the table after each; returns the whole."""
        table = known
        for row in rows:
            new = pd.DataFrame([{**row, "settings": settings, "revision": self.revision}])
            table = pd.concat([table, new]) if len(table) else new
            table = table.sort_values(["panel", "optimizer", "deviation"])
            self.write(name, table)
        return table
