"""The hand-designed optimizers against Keras's where the definitions agree, by hand where they do not."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from l2l_tf.errors import InputError
from l2l_tf.optimizers import (
    NAG,
    SGD,
    AdaGrad,
    Adam,
    CentredRMSprop,
    CoordinatewiseOptimizer,
    HandDesigned,
    Momentum,
    RMSprop,
)

STEPS = 100
RATE = 0.03
BASELINES = (SGD, Momentum, NAG, RMSprop, CentredRMSprop, Adam, AdaGrad)


def gradients() -> np.ndarray:
    """Gradients [steps, coordinates] from tiny to large, some coordinates changing sign, one with rare gradients."""
    generator = np.random.default_rng(0)
    steps = generator.normal(size=(STEPS, 6)) * [1e-3, 0.1, 1.0, 10.0, 1.0, 1.0]
    steps[:, 4] = np.abs(steps[:, 4]) + 0.1
    steps[::7, 5] *= 100.0
    return steps.astype(np.float32)


def run(optimizer: CoordinatewiseOptimizer, sequence: np.ndarray) -> np.ndarray:
    """θ_1 ... θ_T from θ_0 = 0 under fixed gradients."""
    params = tf.zeros(sequence.shape[1])
    state = optimizer.init(params)
    path = []
    for gradient in sequence:
        update, state = optimizer.update(tf.constant(gradient), state)
        params = params + update
        path.append(params.numpy())
    return np.array(path)


def run_keras(optimizer: keras.optimizers.Optimizer, sequence: np.ndarray) -> np.ndarray:
    variable = keras.Variable(np.zeros(sequence.shape[1], np.float32))
    path = []
    for gradient in sequence:
        optimizer.apply([tf.constant(gradient)], [variable])
        path.append(np.array(variable))
    return np.array(path)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param(lambda: SGD(RATE), lambda: keras.optimizers.SGD(RATE), id="sgd"),
        pytest.param(
            lambda: Momentum(RATE, dampening=0.0), lambda: keras.optimizers.SGD(RATE, momentum=0.9), id="heavy-ball"
        ),
        pytest.param(
            lambda: Momentum(RATE, momentum=0.5, dampening=0.0),
            lambda: keras.optimizers.SGD(RATE, momentum=0.5),
            id="heavy-ball-0.5",
        ),
        pytest.param(lambda: NAG(RATE), lambda: keras.optimizers.SGD(RATE, momentum=0.9, nesterov=True), id="nag"),
        pytest.param(lambda: Adam(RATE), lambda: keras.optimizers.Adam(RATE, epsilon=1e-8), id="adam"),
        pytest.param(
            # An epsilon as large as √v: it must stand in the same place.
            lambda: Adam(RATE, beta_1=0.8, beta_2=0.95, epsilon=0.1),
            lambda: keras.optimizers.Adam(RATE, beta_1=0.8, beta_2=0.95, epsilon=0.1),
            id="adam-large-epsilon",
        ),
        # Keras adds epsilon within the root, Torch7 to the root; without epsilon they agree.
        pytest.param(
            lambda: RMSprop(RATE, epsilon=0.0),
            lambda: keras.optimizers.RMSprop(RATE, rho=0.99, epsilon=0.0),
            id="rmsprop",
        ),
        pytest.param(
            lambda: RMSprop(RATE, alpha=0.9, epsilon=0.0, momentum=0.9),
            lambda: keras.optimizers.RMSprop(RATE, rho=0.9, momentum=0.9, epsilon=0.0),
            id="rmsprop-momentum",
        ),
        pytest.param(
            lambda: CentredRMSprop(RATE),
            lambda: keras.optimizers.RMSprop(RATE, rho=0.95, momentum=0.9, epsilon=1e-4, centered=True),
            id="rmsprop-centred",
        ),
        pytest.param(
            lambda: AdaGrad(RATE, epsilon=0.0),
            lambda: keras.optimizers.Adagrad(RATE, initial_accumulator_value=0.0, epsilon=0.0),
            id="adagrad",
        ),
    ],
)
def test_a_hundred_steps_agree_with_keras(
    ours: Callable[[], CoordinatewiseOptimizer], theirs: Callable[[], keras.optimizers.Optimizer]
) -> None:
    np.testing.assert_allclose(run(ours(), gradients()), run_keras(theirs(), gradients()), rtol=2e-4, atol=1e-6)


def test_the_defaults_are_torch7s() -> None:
    assert (Adam(1.0).beta_1, Adam(1.0).beta_2, Adam(1.0).epsilon) == (0.9, 0.999, 1e-8)
    assert (RMSprop(1.0).alpha, RMSprop(1.0).epsilon, RMSprop(1.0).momentum) == (0.99, 1e-8, 0.0)
    assert (Momentum(1.0).momentum, Momentum(1.0).dampening) == (0.9, 0.9)
    assert NAG(1.0).momentum == 0.9
    assert AdaGrad(1.0).epsilon == 1e-10


def test_torch7s_dampening_takes_the_whole_first_gradient_and_a_tenth_of_the_later_ones() -> None:
    # v_1 = 1;  v_2 = 0.9 + 0.1 * 2 = 1.1;  v_3 = 0.99 - 0.1 * 3 = 0.69;  θ = -0.5 (v_1 + ... + v_t)
    path = run(Momentum(0.5), np.array([[1.0], [2.0], [-3.0]], np.float32))
    np.testing.assert_allclose(path[:, 0], [-0.5, -1.05, -1.395], rtol=1e-6)


def test_dampened_momentum_agrees_with_its_recursion_over_a_hundred_steps() -> None:
    sequence = gradients().astype(np.float64)
    theta, velocity, path = np.zeros(6), sequence[0], []
    for step, gradient in enumerate(sequence):
        velocity = velocity if step == 0 else 0.9 * velocity + (1 - 0.9) * gradient
        theta = theta - RATE * velocity
        path.append(theta)
    np.testing.assert_allclose(run(Momentum(RATE), gradients()), path, rtol=2e-4, atol=1e-6)


def test_torch7s_epsilons_are_added_to_the_root() -> None:
    # m = 0.01 * 2² = 0.04, √m = 0.2;  then m = 0.99 * 0.04 + 0.01 * 4² = 0.1996
    path = run(RMSprop(1.0, epsilon=0.3), np.array([[2.0], [4.0]], np.float32))[:, 0]
    np.testing.assert_allclose(path, [-2 / 0.5, -2 / 0.5 - 4 / (0.1996**0.5 + 0.3)], rtol=1e-6)
    # s = 9, then 25
    path = run(AdaGrad(1.0, epsilon=1.0), np.array([[3.0], [4.0]], np.float32))[:, 0]
    np.testing.assert_allclose(path, [-3 / 4, -3 / 4 - 4 / 6], rtol=1e-6)


def test_rmsprop_and_adagrad_agree_with_torch7s_recursion_over_a_hundred_steps() -> None:
    sequence = gradients().astype(np.float64)
    for optimizer, decay, share, epsilon in (RMSprop(RATE), 0.99, 0.01, 1e-8), (AdaGrad(RATE), 1.0, 1.0, 1e-10):
        theta, square, path = np.zeros(6), np.zeros(6), []
        for gradient in sequence:
            square = decay * square + share * gradient**2
            theta = theta - RATE * gradient / (np.sqrt(square) + epsilon)
            path.append(theta)
        np.testing.assert_allclose(run(optimizer, gradients()), path, rtol=2e-4, atol=1e-6)


def test_adams_first_step_is_the_learning_rate_whatever_the_gradients_size() -> None:
    for size in (1e-4, 1.0, 1e4):
        np.testing.assert_allclose(run(Adam(0.1), np.array([[size, -size]], np.float32)), [[-0.1, 0.1]], rtol=5e-3)


@pytest.mark.parametrize("kind", BASELINES)
def test_a_zero_gradient_moves_nothing_at_first(kind: type[HandDesigned]) -> None:
    assert run(kind(0.1), np.zeros((2, 3), np.float32)).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("kind", BASELINES)
def test_the_learning_rate_may_be_a_variable_that_changes_after_tracing(kind: type[HandDesigned]) -> None:
    rate = tf.Variable(1.0)
    optimizer = kind(rate)
    traced = tf.function(lambda gradient: optimizer.update(gradient, optimizer.init(gradient))[0], autograph=False)
    gradient = tf.constant([1.0, -2.0])
    traced(gradient)
    rate.assign(0.25)
    np.testing.assert_allclose(traced(gradient), run(kind(0.25), gradient.numpy()[np.newaxis])[0], rtol=1e-6)


@pytest.mark.parametrize("kind", BASELINES)
def test_coordinates_do_not_touch_each_other(kind: type[HandDesigned]) -> None:
    together = run(kind(0.1), gradients()[:10])
    alone = [run(kind(0.1), gradients()[:10, i : i + 1])[:, 0] for i in range(6)]
    np.testing.assert_array_equal(together, np.stack(alone, axis=1))


@pytest.mark.parametrize("rate", [0, -0.1, float("nan"), float("inf"), "fast", True, None])
@pytest.mark.parametrize("kind", BASELINES)
def test_a_learning_rate_that_is_not_above_zero_is_refused(kind: Callable[..., HandDesigned], rate: object) -> None:
    with pytest.raises(InputError, match=r"learning_rate=.*above 0"):
        kind(rate)


DECAYS = [(Momentum, "momentum"), (Momentum, "dampening"), (NAG, "momentum"), (RMSprop, "alpha"), (RMSprop, "momentum")]
DECAYS += [(CentredRMSprop, "alpha"), (CentredRMSprop, "momentum"), (Adam, "beta_1"), (Adam, "beta_2")]
EPSILONS = [(RMSprop, "epsilon"), (CentredRMSprop, "epsilon"), (Adam, "epsilon"), (AdaGrad, "epsilon")]
NOT_A_NUMBER = st.sampled_from([float("nan"), float("inf"), "big", True, [0.5]])


@pytest.mark.parametrize(("kind", "key"), DECAYS)
@given(st.floats(max_value=0.0, exclude_max=True) | st.floats(min_value=1.0) | NOT_A_NUMBER)
def test_a_decay_outside_0_to_1_is_refused_by_name(kind: Callable[..., HandDesigned], key: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"^{key}=.*must be a number of at least 0 and below 1$"):
        kind(0.1, **{key: value})


@pytest.mark.parametrize(("kind", "key"), EPSILONS)
@given(st.floats(max_value=0.0, exclude_max=True) | NOT_A_NUMBER)
def test_an_epsilon_below_0_is_refused_by_name(kind: Callable[..., HandDesigned], key: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"^{key}=.*must be a finite number of at least 0.0$"):
        kind(0.1, **{key: value})


@pytest.mark.parametrize(("kind", "key"), DECAYS)
@pytest.mark.parametrize("value", [0, 0.0, 0.5, 0.999])
def test_a_decay_from_0_to_below_1_gives_finite_updates(
    kind: Callable[..., HandDesigned], key: str, value: float
) -> None:
    assert np.isfinite(run(kind(0.1, **{key: value}), gradients()[:10])).all()
