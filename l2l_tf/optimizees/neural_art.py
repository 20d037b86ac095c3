"""Neural art (Gatys, Ecker & Bethge, 2015): an image with the content of one image and the style of another."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.checks import at_least, one_of
from l2l_tf.data import load_contents, load_features, load_style
from l2l_tf.errors import InputError
from l2l_tf.optimizees.base import Optimizee, Parameters
from l2l_tf.optimizees.vgg import FeatureNetwork, gram_matrix


class NeuralArt(Optimizee):
    """f(θ) = pixels · (α · content + β · style + γ · smoothness) of the image θ (section 3.4).

    θ is the image itself in pixel values, less the feature network's mean colour; every colour of every pixel is a
    parameter. With the activations F of θ, P of the content image and S of the style image at a layer l:

        content = Σ_l w_l · ½ mean (F_l − P_l)²
        style = Σ_l w_l · ¼ mean (Gram(F_l) − Gram(S_l))²,  Gram(F) = FᵀF / positions
        smoothness = mean of the squared differences of vertical neighbours + the same of horizontal ones

    The first two are Gatys et al.'s equations 1 and 4, but that content is a mean over activations and not a sum. So
    α, β and γ balance alike at every size; and with f proportional to the number of pixels, so are the gradients, each
    of which is a pixel's own. Content and style are computed once: P is the problem, Gram(S) a constant.

    Args:
        contents: content images, uint8 [n, height, width, 3]; problem k has image k mod n.
        style: style image, uint8 [height, width, 3]; its size may be another.
        features: weights of the feature network (`FeatureNetwork`).
        content_layers, style_layers: layers and their weights w_l.
        content_weight, style_weight, smoothness_weight: α, β, γ.
        initial_deviation: standard deviation of θ_0's IID Gaussian entries, in pixel values.

    Raises:
        InputError: an image has another shape, a layer is unknown, or a weight is out of range.
    """

    numbered = True
    vectorize = True

    def __init__(
        self,
        contents: np.ndarray,
        style: np.ndarray,
        features: Mapping[str, np.ndarray],
        content_layers: Mapping[str, float],
        style_layers: Mapping[str, float],
        content_weight: float,
        style_weight: float,
        smoothness_weight: float,
        initial_deviation: float,
    ):
        self.network = FeatureNetwork(features)
        for key, image in (("contents", contents), ("style", style[np.newaxis])):
            if image.ndim != 4 or image.shape[3] != 3 or not image.size:
                raise InputError(f"{key}: {image.dtype} {list(image.shape)}: must be images of three colours")
        self.contents = tf.constant(contents)
        self.content_layers = _layers("content_layers", content_layers, self.network)
        self.style_layers = _layers("style_layers", style_layers, self.network)
        self.content_weight = at_least("content_weight", content_weight, 0.0)
        self.style_weight = at_least("style_weight", style_weight, 0.0)
        self.smoothness_weight = at_least("smoothness_weight", smoothness_weight, 0.0)
        self.initial_deviation = at_least("initial_deviation", initial_deviation, 0.0)
        activations = self.network(self.pixels(tf.constant(style[np.newaxis])), list(self.style_layers))
        self.style_grams = {layer: gram_matrix(activation) for layer, activation in activations.items()}

    def init(self, seed: tf.Tensor) -> Parameters:
        """θ_0 as {"image": [height, width, 3]}."""
        draw = tf.random.stateless_normal(self.contents.shape[1:], seed, alg="philox")
        return {"image": self.initial_deviation * draw}

    def problem(self, seed: tf.Tensor) -> Any:
        """The content image's activations [1, height, width, channels] by layer; `seed` is [k, 0]."""
        content = self.contents[tf.math.floormod(seed[0], self.contents.shape[0])]
        return self.network(self.pixels(content[tf.newaxis]), list(self.content_layers))

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        """f(θ); there is no minibatch, so the seed is not used."""
        del seed
        content, style, smoothness = self.terms(params["image"], problem)
        return content + style + smoothness

    def terms(self, image: tf.Tensor, problem: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The parts of f for an image [height, width, 3]: content, style and smoothness, with their weights."""
        activations = self.network(image[tf.newaxis], [*self.content_layers, *self.style_layers])
        content = tf.add_n(
            [
                0.5 * weight * _mean_square(activations[layer] - tf.cast(problem[layer], image.dtype))
                for layer, weight in self.content_layers.items()
            ]
        )
        style = tf.add_n(
            [
                0.25 * weight * _mean_square(gram_matrix(activations[layer]) - tf.cast(target, image.dtype))
                for (layer, weight), target in zip(self.style_layers.items(), self.style_grams.values(), strict=True)
            ]
        )
        smoothness = _mean_square(image[1:] - image[:-1]) + _mean_square(image[:, 1:] - image[:, :-1])
        pixels = image.shape[0] * image.shape[1]
        return (
            pixels * self.content_weight * content,
            pixels * self.style_weight * style,
            pixels * self.smoothness_weight * smoothness,
        )

    def pixels(self, images: tf.Tensor) -> tf.Tensor:
        """Images uint8 [..., 3] as parameters: less the mean colour."""
        return tf.cast(images, tf.float32) - self.network.mean

    def images(self, params: Parameters) -> np.ndarray:
        """Parameters [..., 3] as images, uint8: the mean colour added, clipped to 0 to 255."""
        return np.clip(np.rint(params["image"] + self.network.mean), 0, 255).astype(np.uint8)


def load_neural_art(
    data: Mapping[str, Any],
    style: str,
    features: str,
    content_layers: Mapping[str, float],
    style_layers: Mapping[str, float],
    content_weight: float,
    style_weight: float,
    smoothness_weight: float,
    initial_deviation: float,
) -> NeuralArt:
    """Neural art on images from disk.

    Args:
        data: directory (of the data sets), split, size, photographs and count of the contents (`load_contents`).
        style: name or image (`load_style`); it has the contents' size.
        features: name or file (`load_features`).

    The other arguments are those of `NeuralArt`.

    Raises:
        InputError: something is missing, is not an image or too small, or an argument is wrong.
    """
    contents, directory = load_contents(**data), data.get("directory", "data")
    return NeuralArt(
        contents,
        load_style(style, contents.shape[1], directory),
        load_features(features, directory),
        content_layers,
        style_layers,
        content_weight,
        style_weight,
        smoothness_weight,
        initial_deviation,
    )


def _layers(key: str, weights: Mapping[str, float], network: FeatureNetwork) -> dict[str, float]:
    """Layers by name, in the network's order, with their weights."""
    for layer, weight in weights.items():
        at_least(f"{key}.{one_of(key, layer, network.filters)}", float(weight), 0.0)
    return {layer: float(weights[layer]) for layer in network.filters if layer in weights}


def _mean_square(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(x**2)
