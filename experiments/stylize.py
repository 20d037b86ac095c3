"""An image's content in another image's style: `python -m experiments.stylize content.jpg style.jpg out.png`.

Beside `out.png` it writes `out_beside.png`: content, result and style side by side.
"""

from collections.abc import Sequence
from pathlib import Path

from experiments.neural_art.stylize import check_image_name, read_image, stylize, write_image
from l2l_tf.commands import Parser, run
from l2l_tf.data import load_features
from l2l_tf.serialization.trained import load_optimizer


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads two images, writes two."""
    parser = Parser(prog="python -m experiments.stylize", description=__doc__)
    parser.add_argument("content", help="an image")
    parser.add_argument("style", help="another one")
    parser.add_argument("out", type=Path, help="the image to write")
    parser.add_argument("--size", type=int, default=128, help="of the longer side, in pixels; 0: the content's own")
    parser.add_argument("--steps", type=int, default=128, help="the optimizer is trained for 128")
    parser.add_argument("--optimizer", default="results/trained/neural_art", help="a trained optimizer's folder")
    parser.add_argument("--features", default="vgg16", help="vgg16, vgg19 or a safetensors file")
    parser.add_argument("--data", default="data", help="folder of the data sets")
    parser.add_argument("--seed", type=int, default=0, help="of the noise that the image begins with")
    given = parser.parse_args(arguments)
    size = given.size or None
    check_image_name(given.out)  # before minutes of work
    made = stylize(
        read_image(given.content, size),
        read_image(given.style, size),
        load_optimizer(given.optimizer),
        given.steps,
        load_features(given.features, given.data),
        given.seed,
    )
    beside = given.out.with_stem(f"{given.out.stem}_beside")
    for path, pixels in ((given.out, made.result), (beside, made.side_by_side())):
        write_image(path, pixels)
        print(path)


if __name__ == "__main__":
    run(main)
