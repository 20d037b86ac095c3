"""Draw every figure that has results: ``python -m experiments.reports.figures [--results FOLDER]``."""

import argparse
import sys
from pathlib import Path

from experiments.reports.figures import beyond_1000, figure_4, figure_5, figure_6, figure_7, figure_10
from l2l_tf.errors import InputError

FIGURES = (figure_4, figure_5, figure_6, figure_7, figure_10, beyond_1000)


def main(results: Path = Path("results")) -> list[Path]:
    """Draw all figures into ``results/figures`` and return the files written, saying each on its own line.

    Raises:
        InputError: a stored file is bad, or a figure cannot be written.
    """
    written = []
    for figure in FIGURES:
        paths = figure.draw(results)
        name = figure.__name__.rpartition(".")[2]
        print("\n".join(map(str, paths)) if paths else f"{name}: no results yet, skipped")
        written += paths
    return written


def run() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Draw the paper's figures from stored results.")
    parser.add_argument("--results", type=Path, default=Path("results"))
    try:
        main(parser.parse_args().results)
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run()
