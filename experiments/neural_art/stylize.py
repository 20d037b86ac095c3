"""A picture of one's own by a trained optimizer: the content of one image in the style of another."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm import tqdm

from experiments.composition.cli import CONF
from l2l_tf import seeds
from l2l_tf.checks import at_least
from l2l_tf.data.photographs import open_image
from l2l_tf.errors import InputError
from l2l_tf.files import write_whole
from l2l_tf.optimizees import NeuralArt
from l2l_tf.optimizers import ParameterGroups
from l2l_tf.serialization.plain_yaml import read_yaml
from l2l_tf.unroll import Optimization, rollout, start

SMALLEST = 16  # pixels each way: the features' third block must see some positions
AT_ONCE = 8  # steps between two moves of the progress bar


@dataclass(frozen=True)
class Stylization:
    """What is made: the images in the size that is asked for, uint8 [height, width, 3]."""

    content: np.ndarray
    result: np.ndarray
    style: np.ndarray

    def side_by_side(self) -> np.ndarray:
        """Content, result and style in one image, the style shrunk or grown to the others' height."""
        height = len(self.content)
        width = max(1, round(self.style.shape[1] * height / len(self.style)))
        style = np.asarray(Image.fromarray(self.style).resize((width, height), Image.Resampling.LANCZOS))
        return np.concatenate([self.content, self.result, style], axis=1)


def stylize(
    content: np.ndarray,
    style: np.ndarray,
    optimizer: ParameterGroups,
    steps: int,
    features: Mapping[str, np.ndarray],
    seed: int = 0,
) -> Stylization:
    """Optimizes an image from noise.

    Args:
        content, style: uint8 [height, width, 3].
        steps: the optimizer was trained for 128.
        features: weights of the feature network (`load_features`).
        seed: of θ_0.
    """
    art = NeuralArt(content[np.newaxis], style, features, **_settings())

    @tf.function(autograph=False)
    def advance(begin: Optimization, first_step: tf.Tensor, count: int) -> tuple[tf.Tensor, Optimization]:
        trajectory = rollout(art, optimizer, begin, first_step, count, record=False)
        return trajectory.losses[-1, 0], trajectory.end

    begin = start(art, optimizer, seeds.problem_keys(seed, "stylize", [0]))
    with tqdm(total=at_least("steps", steps, 1), unit="step") as bar:
        for first_step in range(0, steps, AT_ONCE):
            count = min(AT_ONCE, steps - first_step)
            loss, begin = advance(begin, tf.constant(first_step), count)
            bar.set_postfix_str(f"loss {float(loss):.4g}")
            bar.update(count)
    return Stylization(content, art.images(begin.params)[0], style)


def _settings() -> dict[str, Any]:
    """Layers and weights, those that the optimizer was trained for."""
    config = read_yaml(CONF / "optimizee" / "neural_art.yaml")["optimizee"]
    return {key: value for key, value in config.items() if key not in ("_target_", "data", "style", "features")}


def read_image(path: str, size: int | None) -> np.ndarray:
    """An image whose longer side is `size` pixels, or as large as it is; uint8 [height, width, 3].

    Raises:
        InputError: it cannot be read, or is too small.
    """
    image = open_image(path)
    if size is not None:
        factor = at_least("size", size, SMALLEST) / max(image.size)
        shape = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        image = image.resize(shape, Image.Resampling.LANCZOS)
    if min(image.size) < SMALLEST:
        raise InputError(f"{path}: {image.width} x {image.height} pixels: must be at least {SMALLEST} each way")
    return np.asarray(image)


def check_image_name(path: Path) -> str:
    """The image format that a file's name says.

    Raises:
        InputError: it says none.
    """
    found = Image.registered_extensions().get(path.suffix.lower())
    if found is None:
        raise InputError(f"{path}: must end in .png, .jpg or another image format's name")
    return found


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Writes an image in the format that its name says, whole or not at all.

    Raises:
        InputError: no such format, or the file cannot be written.
    """
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format=check_image_name(path))
    write_whole(path, content.getvalue())
