"""`python -m l2l_tf.serialization.import_l2l FILE OUTPUT`: a released `.l2l` file as a trained optimizer's folder."""

from collections.abc import Sequence
from pathlib import Path

from l2l_tf.commands import Parser, run
from l2l_tf.serialization.l2l_format import OUTPUT_SCALE, PREPROCESSING, P, import_l2l


def command(arguments: Sequence[str] | None = None) -> None:
    """Imports as the arguments say."""
    parser = Parser(prog="python -m l2l_tf.serialization.import_l2l", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="a .l2l file; it is read, never run")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="the folder to write")
    # What a file does not store; the defaults are the released code's.
    parser.add_argument("--p", type=float, default=P, help="of log_and_sign (default: %(default)s)")
    parser.add_argument("--output-scale", type=float, default=OUTPUT_SCALE, help="default: %(default)s")
    parser.add_argument("--preprocessing", choices=PREPROCESSING, default=PREPROCESSING[0], help="default: %(default)s")
    options = parser.parse_args(arguments)
    import_l2l(options.file, options.output, options.p, options.output_scale, options.preprocessing)
    print(f"{options.output}: written")


if __name__ == "__main__":
    run(command)
