"""Runs that are stored already: when one of a panel's optimizers is trained anew, the others need not run again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.results import store


class Kept:
    """Those of a panel's stored runs that would only come out again as they are.

    Args:
        curves: the panel's, `results/curves/<panel>.parquet`; where there is none, nothing is kept.
        accuracies: the panel's, `results/accuracy/<panel>.parquet`; there is none where no net classifies.
        settings: the panel's now, as its provenance will store them.

    Attributes:
        origins: where the kept runs come from, by optimizer: revision, date, versions.

    Raises:
        InputError: a file is damaged.
    """

    def __init__(self, curves: Path, accuracies: Path, settings: Mapping[str, Any]):
        record = store.read_provenance(curves)
        before, now = record.get("config"), store.portable(settings)
        self.origins: dict[str, dict[str, Any]] = {}
        if before is None or not curves.exists():
            return
        self._curves = store.read_curves(curves)
        self._accuracies = [store.read_parquet(accuracies, store.ACCURACIES)] if accuracies.exists() else []
        for name in self._curves.optimizer.unique():
            if _decisive(before, name) == _decisive(now, name):
                self.origins[name] = record.get("kept", {}).get(name) or _origin(record)

    def curves(self, optimizer: str, optimizee: str) -> pd.DataFrame:
        """The curves of an optimizer that is kept, on one of the panel's optimizees."""
        return _of(self._curves, optimizer, optimizee)

    def accuracies(self, optimizer: str, optimizee: str) -> list[pd.DataFrame]:
        """Its final accuracies, one table, or none."""
        return [_of(table, optimizer, optimizee) for table in self._accuracies]


def _of(frame: pd.DataFrame, optimizer: str, optimizee: str) -> pd.DataFrame:
    return frame[(frame.optimizer == optimizer) & (frame.optimizee == optimizee)]


def _origin(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in ("wall_time", "config", "kept")}


def _decisive(settings: Mapping[str, Any], optimizer: str) -> dict[str, Any]:
    """What an optimizer's runs depend on: the panel's problems and, trained, its weights, or else how it was tuned."""
    panel, trained = settings.get("panel") or {}, settings.get("trained") or {}
    learned = panel.get("learned") or {}
    own = dict(settings) | {"panel": {**panel, "learned": learned.get(optimizer), "baselines": None}}
    own["trained"] = trained.get(optimizer)
    if optimizer in learned:
        for key in ("baselines", "tuning", "tune_on"):
            own.pop(key, None)
    return own
