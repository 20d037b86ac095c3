"""The rational tanh and logistic function that XLA gets, against NumPy's in float64."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.optimizers.activations import sigmoid, tanh
from l2l_tf.xla import compiled, compiling

Function = Callable[[tf.Tensor], tf.Tensor]
POINTS = np.concatenate([np.linspace(-20, 20, 40_001), [-np.inf, np.inf, 1e30, -1e30, 1e-30]])


def logistic(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def with_derivative(function: Function) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    def both(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return y, tape.gradient(y, x)

    return both


@pytest.mark.parametrize(
    ("function", "exact", "derivative"),
    [
        (tanh, np.tanh, lambda y: 1.0 - y**2),
        (sigmoid, logistic, lambda y: y * (1.0 - y)),
    ],
)
def test_values_and_derivatives_by_xla(function: Function, exact: Callable, derivative: Callable) -> None:
    value, slope = compiled(with_derivative(function))(tf.constant(POINTS, tf.float32))
    expected = exact(POINTS.astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(value, expected, rtol=5e-7, atol=2e-7)
    np.testing.assert_allclose(slope, derivative(expected), atol=5e-7)


def test_small_values_keep_their_digits() -> None:
    small = np.float32(10.0) ** np.arange(-30, -1, dtype=np.float32)
    np.testing.assert_allclose(compiled(tanh)(tf.constant(small)), np.tanh(small.astype(np.float64)), rtol=5e-7)


@pytest.mark.parametrize(("function", "exact"), [(tanh, np.tanh), (sigmoid, logistic)])
def test_float64_is_exact(function: Function, exact: Callable) -> None:
    points = np.linspace(-5, 5, 101)
    np.testing.assert_allclose(compiled(function)(tf.constant(points)), exact(points), rtol=1e-13)


def test_only_what_xla_compiles_knows_it() -> None:
    seen = []

    def note(x: tf.Tensor) -> tf.Tensor:
        seen.append(compiling())
        return x

    compiled(note)(tf.zeros(1))
    tf.function(note, autograph=False)(tf.zeros(1))

    def broken(x: tf.Tensor) -> tf.Tensor:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        compiled(broken)(tf.zeros(1))
    note(tf.zeros(1))
    assert seen == [True, False, False]
