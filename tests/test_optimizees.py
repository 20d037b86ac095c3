"""The optimizees: what they compute, and that seeds decide everything about them."""

import functools
import math
from collections.abc import Callable
from typing import Any

import hydra
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from l2l_tf import seeds
from l2l_tf.data import Images
from l2l_tf.errors import InputError
from l2l_tf.optimizees import Optimizee, Parameters, Quadratic, Simple, SonnetClassifier, mlp
from l2l_tf.optimizees.base import batch_init, batch_loss, batch_loss_and_gradients, batch_problem
from l2l_tf.optimizers import CoordinatewiseLSTM, everything
from l2l_tf.unroll import compiled_rollout, rollout, start

some_seed = st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**31 - 1))


def seed(*numbers: int) -> tf.Tensor:
    return tf.constant(numbers, tf.int32)


def images(count: int = 40, size: int = 4, channels: int = 1, labels: int = 3) -> Images:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, [count, size, size, channels], dtype=np.uint8)
    return Images(pixels, generator.integers(0, labels, count).astype(np.int32))


def tiny_classifier(**arguments: Any) -> SonnetClassifier:
    module = functools.partial(mlp, units=5, classes=3)
    defaults: dict[str, Any] = {"module": module, "data": images(), "batch_size": 8}
    return SonnetClassifier(**(defaults | arguments))


def equal(one: Parameters, other: Parameters) -> bool:
    return set(one) == set(other) and all(bool(tf.reduce_all(one[name] == other[name])) for name in one)


# Quadratic


@given(some_seed, st.integers(1, 12), st.integers(1, 4), st.sampled_from(["gaussian", "uniform"]))
def test_a_quadratics_gradient_is_the_analytic_one(
    numbers: tuple[int, int], dimension: int, functions: int, distribution: Any
) -> None:
    quadratic = Quadratic(dimension, functions, distribution=distribution)
    problem, params = quadratic.problem(seed(*numbers)), quadratic.init(seed(*numbers[::-1]))
    with tf.GradientTape() as tape:
        tape.watch(params)
        loss = quadratic.loss(params, problem, seed(0, 0))
    W, y, x = (tensor.numpy().astype(np.float64) for tensor in (problem["W"], problem["y"], params["x"]))
    assert (W.shape, y.shape, x.shape) == (
        (functions, dimension, dimension),
        (functions, dimension),
        (functions, dimension),
    )
    residual = np.einsum("fij,fj->fi", W, x) - y
    np.testing.assert_allclose(loss, (residual**2).sum(axis=1).mean(), rtol=1e-4)
    gradient = 2 * np.einsum("fij,fi->fj", W, residual) / functions
    np.testing.assert_allclose(tape.gradient(loss, params)["x"], gradient, rtol=1e-3, atol=1e-3)


def test_a_quadratics_optimum_is_where_its_equations_are_solved() -> None:
    quadratic = Quadratic(dimension=6, functions=3)
    problem = quadratic.problem(seed(1, 2))
    solution = tf.linalg.solve(problem["W"], problem["y"][..., tf.newaxis])[..., 0]
    assert float(quadratic.loss({"x": solution}, problem, seed(0, 0))) == pytest.approx(0.0, abs=1e-6)
    assert float(quadratic.loss({"x": solution + 0.1}, problem, seed(0, 0))) > 1e-3


def test_gaussian_entries_are_standard_normal_and_uniform_ones_lie_between_zero_and_one() -> None:
    kinds: tuple[Any, ...] = ("gaussian", "uniform")
    gaussian, uniform = (Quadratic(100, distribution=kind).problem(seed(3, 4)) for kind in kinds)
    for entries in (gaussian["W"].numpy(), gaussian["y"].numpy()):
        assert entries.mean() == pytest.approx(0.0, abs=4 / entries.size**0.5)
        assert entries.std() == pytest.approx(1.0, abs=3 / entries.size**0.5)
    for entries in (uniform["W"].numpy(), uniform["y"].numpy()):
        assert entries.min() >= 0.0
        assert entries.max() < 1.0
        assert entries.mean() == pytest.approx(0.5, abs=2 / entries.size**0.5)


def test_w_and_y_do_not_repeat_each_other() -> None:
    problem = Quadratic(4, functions=5).problem(seed(0, 1))
    entries = np.concatenate([problem["W"].numpy().ravel(), problem["y"].numpy().ravel()])
    assert len(set(entries.tolist())) == entries.size


@pytest.mark.parametrize("deviation", [0.0, 0.01, 2.0])
def test_theta_0_is_gaussian_with_the_configured_deviation(deviation: float) -> None:
    x = Quadratic(dimension=5000, initial_deviation=deviation).init(seed(0, 0))["x"].numpy()
    assert x.std() == pytest.approx(deviation, rel=0.05)
    assert x.mean() == pytest.approx(0.0, abs=0.05 * deviation)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"dimension": 0}, "dimension=0"),
        ({"dimension": -1}, "dimension=-1"),
        ({"dimension": 2.5}, "dimension=2.5"),
        ({"functions": 0}, "functions=0"),
        ({"initial_deviation": -1.0}, "initial_deviation=-1.0"),
        ({"distribution": "cauchy"}, "distribution=cauchy: must be one of gaussian, uniform"),
    ],
)
def test_an_impossible_quadratic_is_refused(arguments: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError, match=rf"{key}"):
        Quadratic(**arguments)


# Simple


def test_simple_is_the_sum_of_squares_of_its_variables() -> None:
    simple = Simple(variables=3, initial_value=2.0)
    params = simple.init(seed(0, 0))
    assert {name: float(x) for name, x in params.items()} == {"x_0": 2.0, "x_1": 2.0, "x_2": 2.0}
    with tf.GradientTape() as tape:
        tape.watch(params)
        loss = simple.loss(params | {"x_1": tf.constant(-3.0)}, (), seed(0, 0))
    assert float(loss) == 4 + 9 + 4
    assert float(tape.gradient(loss, params["x_0"])) == 4.0


def test_simple_without_variables_is_refused() -> None:
    with pytest.raises(InputError, match=r"variables=0"):
        Simple(variables=0)


# What holds for every optimizee

EVERY = {
    "quadratic": lambda: Quadratic(4),
    "quadratic batch": lambda: Quadratic(3, functions=2, distribution="uniform"),
    "simple": lambda: Simple(2),
    "classifier": tiny_classifier,
    "vectorized classifier": lambda: tiny_classifier(vectorize=True),
}


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_many_at_once_are_the_same_as_one_after_the_other(make: Callable[[], Optimizee]) -> None:
    optimizee = make()
    keys = seeds.problem_keys(0, "test", range(5))
    of_params, of_problem, of_batch = (seeds.stateless_seed(keys[:, column], 7) for column in range(3))
    params, problems = batch_init(optimizee, of_params), batch_problem(optimizee, of_problem)
    losses, gradients = batch_loss_and_gradients(optimizee, params, problems, of_batch)
    np.testing.assert_allclose(batch_loss(optimizee, params, problems, of_batch), losses, rtol=1e-5)
    for i in range(5):
        one, problem = optimizee.init(of_params[i]), optimizee.problem(of_problem[i])
        assert equal(one, {name: tensor[i] for name, tensor in params.items()})
        with tf.GradientTape() as tape:
            tape.watch(one)
            loss = optimizee.loss(one, problem, of_batch[i])
        np.testing.assert_allclose(losses[i], loss, rtol=1e-5)
        for name, gradient in tape.gradient(loss, one).items():
            np.testing.assert_allclose(gradients[name][i], gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_the_same_keys_are_the_same_optimizee_and_the_same_loss(make: Callable[[], Optimizee]) -> None:
    optimizee, again = make(), make()
    params = optimizee.init(seed(5, 6))
    assert equal(params, again.init(seed(5, 6)))
    losses = [one.loss(params, one.problem(seed(7, 8)), seed(9, 10)) for one in (optimizee, again)]
    assert float(losses[0]) == float(losses[1])


@pytest.mark.parametrize("numbers", [(5, 7), (6, 6), (-5, 6)])
def test_other_keys_are_other_problems(numbers: tuple[int, int]) -> None:
    for optimizee in (Quadratic(4), Quadratic(4, distribution="uniform"), tiny_classifier()):
        assert not equal(optimizee.init(seed(5, 6)), optimizee.init(seed(*numbers)))
    for quadratic in (Quadratic(4), Quadratic(4, distribution="uniform")):
        assert not equal(quadratic.problem(seed(5, 6)), quadratic.problem(seed(*numbers)))


# SonnetClassifier


def test_parameters_have_the_modules_names_and_shapes() -> None:
    assert {name: tuple(shape) for name, shape in tiny_classifier().shapes.items()} == {
        "linear_0/w": (16, 5),
        "linear_0/b": (5,),
        "linear_1/w": (5, 3),
        "linear_1/b": (3,),
    }


def test_theta_0_of_a_network_is_gaussian_with_the_configured_deviation() -> None:
    classifier = tiny_classifier(module=functools.partial(mlp, units=400, classes=3), initial_deviation=0.02)
    params = classifier.init(seed(0, 0))
    for tensor in (params["linear_0/w"], params["linear_0/b"]):
        assert float(tf.math.reduce_std(tensor)) == pytest.approx(0.02, rel=4 / tensor.shape.num_elements() ** 0.5)
    assert not np.intersect1d(params["linear_0/w"], params["linear_1/w"]).size


def test_initial_means_shift_the_parameters_that_a_pattern_names() -> None:
    classifier = tiny_classifier(initial_means={"*/b": 3.0, "linear_0/*": 9.0})
    params, plain = classifier.init(seed(0, 0)), tiny_classifier().init(seed(0, 0))
    for name, mean in {"linear_0/b": 3.0, "linear_1/b": 3.0, "linear_0/w": 9.0, "linear_1/w": 0.0}.items():
        np.testing.assert_allclose(params[name] - plain[name], mean, atol=1e-6)


def test_initial_deviations_replace_the_one_of_the_parameters_that_a_pattern_names() -> None:
    classifier = tiny_classifier(initial_deviations={"linear_1/w": 0.14})
    params, plain = classifier.init(seed(0, 0)), tiny_classifier().init(seed(0, 0))
    for name, ratio in {"linear_0/w": 1.0, "linear_0/b": 1.0, "linear_1/w": 14.0, "linear_1/b": 1.0}.items():
        np.testing.assert_allclose(params[name], ratio * plain[name], rtol=1e-5)


def test_the_loss_is_the_mean_cross_entropy_of_the_drawn_images() -> None:
    data = Images(np.full([10, 4, 4, 1], 255, np.uint8), np.full(10, 2, np.int32))  # whichever images are drawn
    classifier = tiny_classifier(data=data, initial_deviation=0.5)
    params = classifier.init(seed(1, 1))
    weights = {name: tensor.numpy() for name, tensor in params.items()}
    hidden = 1 / (1 + np.exp(-(weights["linear_0/w"].sum(axis=0) + weights["linear_0/b"])))
    logits = hidden @ weights["linear_1/w"] + weights["linear_1/b"]
    expected = np.log(np.exp(logits).sum()) - logits[2]
    assert float(classifier.loss(params, (), seed(0, 0))) == pytest.approx(expected, rel=1e-5)


def test_an_untrained_network_has_the_loss_of_guessing() -> None:
    classifier = tiny_classifier(initial_deviation=0.0)
    assert float(classifier.loss(classifier.init(seed(0, 0)), (), seed(0, 0))) == pytest.approx(math.log(3))


def minibatch_losses(step_key: int) -> list[float]:
    classifier = tiny_classifier(initial_deviation=1.0)
    params = classifier.init(seed(0, 0))
    return [float(classifier.loss(params, (), seed(step_key, step))) for step in range(6)]


def test_minibatches_differ_by_step_and_by_problem() -> None:
    losses = minibatch_losses(1) + minibatch_losses(2)
    assert len(set(losses)) == len(losses)


def test_minibatches_are_the_same_for_every_optimizer() -> None:
    # One that moves nothing and one that moves: the first loss of both, and the minibatches of all steps.
    classifier = tiny_classifier(initial_deviation=1.0)
    keys = seeds.problem_keys(0, "test", [0])
    still, moving = CoordinatewiseLSTM(layers=(), output_deviation=0.0), CoordinatewiseLSTM(layers=(), seed=1)
    losses, gradients, params = [], [], {}
    for optimizer in (everything(still), everything(moving)):
        begin = start(classifier, optimizer, keys)
        trajectory = rollout(classifier, optimizer, begin, tf.constant(0), 3, record=True)
        losses.append(trajectory.losses.numpy()[:, 0])
        gradients.append(trajectory.gradients)
        params = {name: tensor[0] for name, tensor in begin.params.items()}
    assert losses[0][0] == losses[1][0]
    assert losses[0][1] != losses[1][1]
    expected = [
        float(classifier.loss(params, (), seeds.stateless_seed(keys[0, seeds.MINIBATCH], step))) for step in range(4)
    ]
    np.testing.assert_allclose(losses[0], expected, rtol=1e-5)


def test_xla_does_the_same_steps_on_the_same_minibatches() -> None:
    classifier = tiny_classifier(initial_deviation=1.0, compile=True)
    optimizer = everything(CoordinatewiseLSTM(layers=(3,), block_size=20))
    begin = start(classifier, optimizer, seeds.problem_keys(0, "train", [0]))
    expected = rollout(classifier, optimizer, begin, tf.constant(2), 4, record=True)
    found = compiled_rollout(classifier)(classifier, optimizer, begin, tf.constant(2), 4, record=True)
    assert len(set(expected.losses.numpy()[:, 0])) == 5
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@given(some_seed, st.integers(1, 60), st.integers(0, 60))
def test_a_subset_is_successive_images_as_many_as_the_bounds_allow(
    numbers: tuple[int, int], fewest: int, more: int
) -> None:
    first, count = tiny_classifier(subset=[fewest, fewest + more]).problem(seed(*numbers))
    assert min(fewest, 40) <= int(count) <= min(fewest + more, 40)
    assert 0 <= int(first) <= 40 - int(count)


def test_minibatches_are_drawn_from_the_problems_subset_only() -> None:
    data = images()
    data.labels[:] = np.arange(40) // 20  # the first half has label 0, the second label 1; 2 is never drawn
    classifier = tiny_classifier(data=data, subset=[5, 10])
    params = {name: tf.zeros(shape) for name, shape in classifier.shapes.items()}
    certain = params | {"linear_1/b": tf.constant([50.0, 0.0, 0.0])}  # wrong about every image with label 1
    for first, wrong in ((0, 0.0), (30, 50.0)):
        problem = (tf.constant(first), tf.constant(10))
        losses = [float(classifier.loss(certain, problem, seed(0, step))) for step in range(20)]
        np.testing.assert_allclose(losses, wrong, atol=1e-6)


def test_sizes_of_subsets_are_log_uniform_and_their_places_uniform() -> None:
    classifier = tiny_classifier(data=images(4000), subset=[10, 1000])
    problems = batch_problem(classifier, tf.constant([[0, number] for number in range(500)]))
    firsts, counts = (tensor.numpy() for tensor in problems)
    assert abs(np.mean(counts < 100) - 0.5) < 0.08
    assert abs(np.mean(firsts / (4000 - counts)) - 0.5) < 0.06


@pytest.mark.parametrize("subset", [[0, 5], [5, 4], [5], 5, "ab", [1.0, 5.0], [True, 5]])
def test_an_impossible_subset_is_refused(subset: Any) -> None:
    with pytest.raises(InputError, match=r"subset=.*: must be \[fewest, most\]"):
        tiny_classifier(subset=subset)


def test_accuracy_is_the_share_of_all_images_that_are_right() -> None:
    classifier = tiny_classifier()
    params = {name: tf.zeros(shape) for name, shape in classifier.shapes.items()} | {
        "linear_1/b": tf.constant([0.0, 0.0, 1.0])
    }
    assert float(classifier.accuracy(params)) == pytest.approx(np.mean(images().labels == 2))


def instantiate(**module: Any) -> SonnetClassifier:
    """A classifier whose module comes from configuration alone, as `conf/optimizee` would have it."""
    arguments = module.pop("arguments", None)
    built = hydra.utils.instantiate({"_partial_": True, **module})
    return SonnetClassifier(built, images(channels=3), batch_size=6, arguments=arguments, initial_deviation=0.1)


def test_any_sonnet_module_can_be_configured() -> None:
    classifier = instantiate(
        _target_="sonnet.Sequential",
        layers=[
            {"_target_": "sonnet.Conv2D", "output_channels": 4, "kernel_shape": 3},
            {"_target_": "hydra.utils.get_method", "path": "tensorflow.nn.relu"},
            {"_target_": "sonnet.Flatten"},
            {"_target_": "sonnet.nets.MLP", "output_sizes": [6, 3]},
        ],
    )
    assert set(classifier.shapes) == {
        "conv2_d/w",
        "conv2_d/b",
        *(f"mlp/linear_{k}/{kind}" for k in (0, 1) for kind in "wb"),
    }
    check_that_it_learns(classifier)


class WithBatchNorm(snt.Module):
    """A network whose call needs to know that it is training."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = snt.Linear(5, name="hidden")
        self.norm = snt.BatchNorm(create_scale=True, create_offset=True, name="norm")
        self.output = snt.Linear(3, name="output")

    def __call__(self, pixels: tf.Tensor, is_training: bool) -> tf.Tensor:
        return self.output(tf.nn.relu(self.norm(self.hidden(snt.flatten(pixels)), is_training=is_training)))


def test_a_network_with_batch_norm_gets_its_arguments_and_is_a_pure_function() -> None:
    classifier = instantiate(_target_=f"{__name__}.WithBatchNorm", arguments={"is_training": True})
    assert {"norm/scale", "norm/offset"} < set(classifier.shapes)
    assert not [name for name in classifier.shapes if "moving" in name]  # no statistics among what is optimized
    params = classifier.init(seed(0, 0))
    losses = [float(classifier.loss(params, (), seed(1, step))) for step in (0, 1, 0)]
    assert losses[0] == losses[2] != losses[1]
    check_that_it_learns(classifier)


def check_that_it_learns(classifier: SonnetClassifier) -> None:
    """Plain gradient descent lowers the loss on one minibatch, so every part is connected."""
    params = classifier.init(seed(0, 0))
    losses = []
    for _ in range(30):
        with tf.GradientTape() as tape:
            tape.watch(params)
            loss = classifier.loss(params, (), seed(1, 1))
        gradients = tape.gradient(loss, params)
        params = {name: params[name] - 0.5 * gradients[name] for name in params}
        losses.append(float(loss))
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: tiny_classifier(batch_size=0), r"batch_size=0"),
        (lambda: tiny_classifier(initial_deviation=-0.1), r"initial_deviation=-0\.1"),
        (lambda: mlp(layers=-1), r"layers=-1"),
        (lambda: mlp(units=0), r"units=0"),
        (lambda: mlp(activation="gelu"), r"activation=gelu: must be one of relu, sigmoid, tanh"),
    ],
)
def test_an_impossible_network_is_refused(make: Callable[[], object], line: str) -> None:
    with pytest.raises(InputError, match=line):
        make()
