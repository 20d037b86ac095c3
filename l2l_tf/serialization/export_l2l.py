"""`l2l-export FOLDER FILE`: a trained optimizer for the released code."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from l2l_tf.commands import Parser, run
from l2l_tf.serialization.l2l_format import export_l2l


def command(arguments: Sequence[str] | None = None) -> None:
    """Exports as the arguments say, and prints the command that imports the file with its settings."""
    parser = Parser(prog="l2l-export", description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="of a trained optimizer, or the name of a pretrained one")
    parser.add_argument("file", type=Path, metavar="FILE", help="the .l2l file to write")
    parser.add_argument("--group", type=int, help="number of the parameter group, from 0, where there are several")
    options = parser.parse_args(arguments)
    settings = export_l2l(options.folder, options.file, options.group)
    print(f"{options.file}: written; it does not hold the optimizer's settings, with which this imports it:")
    given = [text for name, value in settings.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    print(shlex.join(["l2l-import", str(options.file), f"{Path(options.folder).name}_imported", *given]))


def main() -> None:
    """The command `l2l-export`."""
    run(command)


if __name__ == "__main__":
    main()
