"""Small tables as CSV files, written whole, and held against what a reader needs of them."""

import io
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from l2l_tf.checks import shown
from l2l_tf.errors import InputError
from l2l_tf.files import read_bytes, write_whole

MOST_BYTES = 2**26  # of a table; the largest has 3 million


def write_table(path: Path, frame: pd.DataFrame) -> Path:
    """Writes `<path>.csv`, floats to six digits.

    Raises:
        InputError: the file cannot be written.
    """
    target = path.with_name(f"{path.name}.csv")
    write_whole(target, frame.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())
    return target


def read_table(path: Path, numbers: Iterable[str] = (), others: Iterable[str] = ()) -> pd.DataFrame:
    """A CSV file that has rows, with these columns of numbers and these others.

    Raises:
        InputError: it cannot be read, or has not.
    """
    content = read_bytes(path, MOST_BYTES)
    try:
        table = pd.read_csv(io.BytesIO(content))
    except ValueError as error:  # pandas' parser errors are ValueErrors, and so is text that is not UTF-8
        raise InputError(f"{path}: not readable as CSV ({shown(error, 200)})") from error
    numbers = list(numbers)
    lacking = [column for column in (*others, *numbers) if column not in table]
    if lacking:
        raise InputError(f"{path}: lacks the columns {', '.join(lacking)}")
    if table.empty:
        raise InputError(f"{path}: has no rows")
    if not all(pd.api.types.is_numeric_dtype(table[column]) for column in numbers):
        raise InputError(f"{path}: {', '.join(numbers)} must be numbers")
    return table
