"""Small tables as CSV files, written whole."""

from pathlib import Path

import pandas as pd

from l2l_tf.files import write_whole


def write_table(path: Path, frame: pd.DataFrame) -> Path:
    """Writes `<path>.csv`, floats to six digits.

    Raises:
        InputError: the file cannot be written.
    """
    target = path.with_name(f"{path.name}.csv")
    write_whole(target, frame.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())
    return target
