"""What the neural-art experiment makes besides its panels."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.composition.panel import Panel
from experiments.neural_art.pictures import store_pictures
from experiments.neural_art.updates import store_updates
from experiments.results.making import Maker
from experiments.results.record import write_record
from l2l_tf.errors import InputError


def make_studies(config: Mapping[str, Any], panels: Sequence[Panel], runs: Maker) -> list[Path]:
    """Pictures of all panels, and updates on the first; each with its record.

    Raises:
        InputError: the configuration has no studies.
    """
    studies = config.get("studies")
    if not studies:
        raise InputError("studies: there are none; choose an experiment that has some: experiment=neural_art")
    began = time.monotonic()
    written = [store_pictures(panels, runs, studies["pictures"]), *store_updates(panels[0], runs, studies["updates"])]
    for folder in sorted({path.parent for path in written}):
        write_record(folder / "neural_art", config, time.monotonic() - began)
    return written
