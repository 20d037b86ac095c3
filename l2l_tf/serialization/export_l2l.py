"""`python -m l2l_tf.serialization.export_l2l FOLDER FILE`: a trained optimizer for the released code."""

from collections.abc import Sequence
from pathlib import Path

from l2l_tf.commands import Parser, run
from l2l_tf.serialization.l2l_format import export_l2l


def command(arguments: Sequence[str] | None = None) -> None:
    """Exports as the arguments say."""
    parser = Parser(prog="python -m l2l_tf.serialization.export_l2l", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of a trained optimizer")
    parser.add_argument("file", type=Path, metavar="FILE", help="the .l2l file to write")
    parser.add_argument("--group", type=int, help="number of the parameter group, from 0, where there are several")
    options = parser.parse_args(arguments)
    export_l2l(options.folder, options.file, options.group)
    print(f"{options.file}: written; the file does not hold the preprocessing and the output scale of {options.folder}")


if __name__ == "__main__":
    run(command)
