"""Neural art: against a transcription of its equations, by finite differences, and one step on the real network."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from feature_networks import LAYERS, WEIGHTS, images, tiny_features
from refusals import refusal

from l2l_tf import seeds
from l2l_tf.evaluation.bulk import rate_curves
from l2l_tf.evaluation.evaluate import Evaluator
from l2l_tf.optimizees import NeuralArt, load_neural_art
from l2l_tf.optimizees.base import batch_loss, batch_loss_and_gradients, batch_problem
from l2l_tf.optimizees.vgg import FeatureNetwork, gram_matrix
from l2l_tf.optimizers import SGD, Adam
from l2l_tf.unroll import problems_of

DATA = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="module")
def art() -> NeuralArt:
    return NeuralArt(images(3), images(1, size=10, seed=2)[0], tiny_features(), **LAYERS, **WEIGHTS)


def numbered(*numbers: int) -> tf.Tensor:
    return tf.constant([[number, 0] for number in numbers])


# The transcription: one pixel, one channel at a time.


def convolved(image: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    height, width, _ = image.shape
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((height, width, w.shape[3]))
    for y, x in np.ndindex(height, width):
        out[y, x] = np.tensordot(padded[y : y + 3, x : x + 3], w, 3) + b
    return np.maximum(out, 0)


def pooled(image: np.ndarray) -> np.ndarray:
    return (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4


def activations(image: np.ndarray) -> dict[str, np.ndarray]:
    weights = {name: array.astype(np.float64) for name, array in tiny_features().items()}
    first = convolved(image, weights["conv1_1/w"], weights["conv1_1/b"])
    second = convolved(first, weights["conv1_2/w"], weights["conv1_2/b"])
    third = convolved(pooled(second), weights["conv2_1/w"], weights["conv2_1/b"])
    return {"relu1_1": first, "relu1_2": second, "relu2_1": third}


def gram(activation: np.ndarray) -> np.ndarray:
    rows = activation.reshape(-1, activation.shape[2])
    return np.stack([np.outer(row, row) for row in rows]).mean(axis=0)


def transcribed(theta: np.ndarray, content: np.ndarray, style: np.ndarray) -> float:
    """Gatys et al. (2015), equations 1, 3, 4, 5, 7, with the means of `NeuralArt`."""
    mean = tiny_features()["mean"].astype(np.float64)
    of_theta, of_content, of_style = (activations(image) for image in (theta, content - mean, style - mean))
    first = ((of_theta["relu2_1"] - of_content["relu2_1"]) ** 2).mean() / 2
    second = sum(
        weight * ((gram(of_theta[layer]) - gram(of_style[layer])) ** 2).mean() / 4
        for layer, weight in LAYERS["style_layers"].items()
    )
    third = ((theta[1:] - theta[:-1]) ** 2).mean() + ((theta[:, 1:] - theta[:, :-1]) ** 2).mean()
    return 64 * (3.0 * first + 2.0 * second + 0.5 * third)


def test_the_loss_is_that_of_the_papers_equations(art: NeuralArt) -> None:
    theta = np.random.default_rng(4).normal(0, 30, (8, 8, 3))
    problem = art.problem(tf.constant([1, 0]))
    loss = art.loss({"image": tf.constant(theta)}, problem, tf.constant([0, 0]))
    style = images(1, size=10, seed=2)[0].astype(np.float64)
    assert float(loss) == pytest.approx(transcribed(theta, images(3)[1].astype(np.float64), style), rel=1e-5)


def test_the_gradient_is_that_of_finite_differences(art: NeuralArt) -> None:
    problem, step = art.problem(tf.constant([2, 0])), 1e-4
    theta = np.random.default_rng(5).normal(0, 30, (8, 8, 3))

    def f(at: np.ndarray) -> float:
        return float(art.loss({"image": tf.constant(at)}, problem, tf.constant([0, 0])))

    x = tf.constant(theta)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = art.loss({"image": x}, problem, tf.constant([0, 0]))
    gradient = tape.gradient(loss, x).numpy()
    for place in ((0, 0, 0), (3, 4, 1), (7, 7, 2), (0, 5, 2)):
        moved = np.zeros_like(theta)
        moved[place] = step
        assert gradient[place] == pytest.approx((f(theta + moved) - f(theta - moved)) / (2 * step), rel=1e-5)


def test_the_image_itself_has_no_content_loss_and_the_style_no_style_loss() -> None:
    picture = images(1)[0]
    art = NeuralArt(picture[np.newaxis], picture, tiny_features(), **LAYERS, **WEIGHTS)
    content, style, smoothness = art.terms(art.pixels(tf.constant(picture)), art.problem(tf.constant([0, 0])))
    assert float(content) == pytest.approx(0, abs=1e-6)
    assert float(style) == pytest.approx(0, abs=1e-6)
    assert float(smoothness) > 1
    flat = art.terms(tf.fill([8, 8, 3], 7.0), art.problem(tf.constant([0, 0])))
    assert float(flat[2]) == 0


def test_several_images_in_one_convolution_are_each_as_alone(art: NeuralArt) -> None:
    params = {"image": tf.random.stateless_normal([3, 8, 8, 3], [1, 2], stddev=20.0)}
    problems = batch_problem(art, numbered(0, 1, 2))
    losses, gradients = tf.function(partial(batch_loss_and_gradients, art), autograph=False)(
        params, problems, numbered(0, 0, 0)
    )
    for k in range(3):
        one, problem = tf.nest.map_structure(lambda x, k=k: x[k : k + 1], (params, problems))
        loss, gradient = batch_loss_and_gradients(art, one, problem, numbered(0))
        np.testing.assert_allclose(losses[k], loss[0], rtol=1e-5)
        np.testing.assert_allclose(gradients["image"][k], gradient["image"][0], rtol=1e-3, atol=1e-3)


def test_the_batch_has_one_convolution_for_each_layer(art: NeuralArt) -> None:
    specs = {"image": tf.TensorSpec([3, 8, 8, 3])}
    problems = batch_problem(art, numbered(0, 1, 2))
    traced = tf.function(lambda params: batch_loss(art, params, problems, numbered(0, 0, 0)), autograph=False)
    operations = traced.get_concrete_function(specs).graph.get_operations()
    batches = [operation.inputs[0].shape[0] for operation in operations if operation.type == "Conv2D"]
    assert batches.count(3) == 3


def test_problem_k_has_content_k_and_begins_again_after_the_last(art: NeuralArt) -> None:
    problems = problems_of(art, seeds.problem_keys(0, "test", [0, 1, 2, 4]))
    contents = art.network(art.pixels(tf.constant(images(3)[[0, 1, 2, 1]])), ["relu2_1"])["relu2_1"]
    np.testing.assert_allclose(problems["relu2_1"][:, 0], contents, rtol=1e-4, atol=1e-5)


def test_theta_0_is_gaussian_in_pixel_values(art: NeuralArt) -> None:
    theta = np.stack([art.init(tf.constant([k, 1]))["image"] for k in range(50)])
    assert theta.std() == pytest.approx(10.0, rel=0.05)
    assert abs(theta.mean()) < 0.5
    np.testing.assert_array_equal(art.images({"image": art.pixels(tf.constant(images(2)))}), images(2))


def test_many_rates_at_once_are_each_as_alone(art: NeuralArt) -> None:
    curves = rate_curves(art, Adam, [0.5, 8.0], 0, "test", range(3), steps=4, batch=2)
    for rate, found in zip((0.5, 8.0), curves, strict=True):
        alone, _ = Evaluator(art, Adam(rate), 4).losses(0, "test", range(3))
        np.testing.assert_allclose(found, alone, rtol=1e-3)


def test_layers_stop_at_the_last_one_wanted() -> None:
    network = FeatureNetwork(tiny_features())
    found = network(tf.zeros([1, 8, 8, 3]), ["relu1_2", "relu1_1"])
    assert sorted(found) == ["relu1_1", "relu1_2"]
    assert gram_matrix(found["relu1_1"]).shape == [1, 4, 4]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"content_layers": {"relu9_9": 1.0}}, "content_layers=relu9_9: must be one of relu1_1, relu1_2, relu2_1"),
        ({"style_layers": {"relu1_1": -1.0}}, "style_layers.relu1_1=-1.0: must be a finite number of at least 0.0"),
        ({"smoothness_weight": "much"}, "smoothness_weight=much: must be a finite number of at least 0.0"),
        ({"contents": np.zeros((2, 8, 8), np.uint8)}, "contents: uint8 [2, 8, 8]: must be images of three colours"),
        ({"features": {"mean": np.zeros(3)}}, "features: have no convolutions conv1_1/w, conv1_1/b and so on"),
    ],
)
def test_bad_arguments_are_refused_with_one_line(change: dict[str, object], line: str) -> None:
    arguments = {"contents": images(2), "style": images(1)[0], "features": tiny_features(), **LAYERS, **WEIGHTS}
    assert refusal(lambda: NeuralArt(**(arguments | change))) == line


@pytest.mark.skipif(
    not (DATA / "features/vgg16.safetensors").exists() or not (DATA / "photographs/chelsea.png").exists(),
    reason="the feature network's weights and the photographs are not here (make data)",
)
def test_a_step_on_the_real_network_has_the_stored_losses() -> None:
    layers: dict[str, Any] = {
        "content_layers": {"relu2_2": 1.0},
        "style_layers": {"relu1_1": 0.005, "relu2_1": 0.014, "relu3_1": 1.2},
    }
    weights = WEIGHTS | {"content_weight": 7.5, "style_weight": 2.5, "smoothness_weight": 1.0}
    data = {"directory": DATA, "split": "test", "size": 64, "count": 10}
    art = load_neural_art(data, style="elephants", features="vgg16", **layers, **weights)
    losses, _ = Evaluator(art, SGD(0.01), 1).losses(0, "test", [7])
    np.testing.assert_allclose(losses[0], [3.67016e7, 3.59591e7], rtol=1e-3)
