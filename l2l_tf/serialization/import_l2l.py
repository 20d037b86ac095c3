"""`l2l-import FILE OUTPUT`: a released `.l2l` file as a trained optimizer's folder."""

from collections.abc import Sequence
from pathlib import Path

from l2l_tf.commands import Parser, run
from l2l_tf.serialization.l2l_format import PREPROCESSING, SETTINGS, import_l2l


def command(arguments: Sequence[str] | None = None) -> None:
    """Imports as the arguments say."""
    parser = Parser(prog="l2l-import", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="a .l2l file; it is read, never run")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="the folder to write")
    notes = {"p": " of log_and_sign", "smoothing": " of log_and_sign", "decay": " of RNNprop", "epsilon": " of RNNprop"}
    for name, value in SETTINGS.items():
        choices = list(PREPROCESSING) if name == "preprocessing" else None
        option = f"--{name.replace('_', '-')}"
        note = f"which the file does not store{notes.get(name, '')} (default: {value})"
        parser.add_argument(option, type=type(value), choices=choices, default=value, help=note)
    options = vars(parser.parse_args(arguments))
    import_l2l(**options)
    print(f"{options['output']}: written")


def main() -> None:
    """The command `l2l-import`."""
    run(command)


if __name__ == "__main__":
    main()
