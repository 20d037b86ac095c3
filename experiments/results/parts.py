"""What a long evaluation has done so far: one that was interrupted goes on from there."""

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from experiments.results import store


class Parts:
    """Tables that are made one after the other, and kept on disk until the whole that they make up is stored.

    Args:
        path: of the whole; the parts go into a folder beside it, `<name>.parts`.
        settings: what the parts depend on. Those of other settings, of another revision of the code, or from another
            machine are not used.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]):
        self.folder = path.with_suffix(".parts")
        origin = store.provenance(settings, 0.0)
        del origin["date"], origin["peak_memory"]
        self._origin = yaml.safe_dump(origin)
        self.seconds = 0.0  # what all parts together took to make

    def get(self, label: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The table that `make` makes, or has made under this label before an interruption.

        Raises:
            InputError: it cannot be stored, or read again.
        """
        digest = hashlib.sha256(f"{self._origin}{label}".encode()).hexdigest()[:16]
        path = self.folder / f"{digest}.parquet"
        if not path.exists():
            began = time.monotonic()
            frame = make()
            frame.attrs["seconds"] = time.monotonic() - began
            store.write_parquet(path, frame)
        frame = store.read_parquet(path, {})
        self.seconds += frame.attrs.pop("seconds")
        return frame

    def clear(self) -> None:
        """Deletes the parts, once the whole is stored."""
        shutil.rmtree(self.folder, ignore_errors=True)
