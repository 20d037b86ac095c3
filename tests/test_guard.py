"""The guard: the stored MNIST optimizer on models on which it diverges, and where nothing goes wrong."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.integrations import guard
from l2l_tf.integrations.guard import Guard
from l2l_tf.keras import LearnedOptimizer

Task = tuple[keras.Model, np.ndarray, np.ndarray, keras.losses.Loss]


def mlp(sizes: list[int], activation: str) -> Task:
    rng = np.random.default_rng(1)
    x = rng.normal(size=[512, 32]).astype(np.float32)
    y = (x @ rng.normal(size=[32, 4]) + 0.5 * rng.normal(size=[512, 4])).argmax(axis=1)
    hidden = [keras.layers.Dense(size, activation) for size in sizes]
    model = keras.Sequential([keras.layers.Input([32]), *hidden, keras.layers.Dense(4)])
    return model, x, y, keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def table() -> Task:
    rng = np.random.default_rng(1)
    x = rng.normal(size=[512, 8]).astype(np.float32)
    y = 10 * np.sin(x[:, :1]) + 5 * x[:, 1:2] ** 2 + 3
    hidden = [keras.layers.Dense(32, "relu") for _ in range(2)]
    model = keras.Sequential([keras.layers.Input([8]), *hidden, keras.layers.Dense(1)])
    return model, x, y.astype(np.float32), keras.losses.MeanSquaredError()


def transformer() -> Task:
    rng = np.random.default_rng(1)
    x = rng.integers(16, size=[512, 12])
    y = x[:, 0] % 4
    tokens = keras.layers.Input([12], dtype="int32")
    h = keras.layers.Embedding(16, 16)(tokens)
    h = keras.layers.LayerNormalization()(h + keras.layers.MultiHeadAttention(2, 8)(h, h))
    h = h + keras.layers.Dense(16)(keras.layers.Dense(32, "relu")(h))
    return (
        keras.Model(tokens, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling1D()(h))),
        x,
        y,
        mlp([], "relu")[3],
    )


def fit(make: Callable[[], Task], guarded: bool, epochs: int = 20) -> tuple[float, float, LearnedOptimizer]:
    """The loss before and after 8 steps per epoch."""
    keras.utils.set_random_seed(1)
    model, x, y, loss = make()
    optimizer = LearnedOptimizer("mnist", guard=guarded)
    model.compile(optimizer, loss)
    start = model.evaluate(x, y, batch_size=512, verbose=0)
    model.fit(x, y, batch_size=64, epochs=epochs, shuffle=False, verbose=0)
    return start, model.evaluate(x, y, batch_size=512, verbose=0), optimizer


@pytest.mark.parametrize("make", [lambda: mlp([64] * 3, "relu"), table])
def test_models_on_which_the_optimizer_diverges_end_below_their_start(make: Callable[[], Task]) -> None:
    start, without, _ = fit(make, guarded=False)
    assert not without < start
    with pytest.warns(UserWarning, match="the trained optimizer diverges on this model") as said:
        start, end, _ = fit(make, guarded=True)
    assert end < start
    assert sum("diverges" in str(warning.message) for warning in said) == 1


@pytest.mark.parametrize("make", [lambda: mlp([2], "relu"), transformer])
@pytest.mark.filterwarnings("ignore:the trained optimizer diverges")
def test_a_tiny_model_and_a_transformer_end_below_their_start(make: Callable[[], Task]) -> None:
    start, end, _ = fit(make, guarded=True)
    assert end < start


def test_without_divergence_nothing_changes() -> None:
    def make() -> Task:
        return mlp([20], "sigmoid")

    _, without, _ = fit(make, guarded=False)
    start, end, optimizer = fit(make, guarded=True)
    assert end == without < start
    assert float(optimizer._watch[0]) == 0


def watch(guarded: Guard, x: tf.Variable) -> list[tf.Variable]:
    return [tf.Variable(part) for part in guarded.initial_state([x])]


def test_what_is_not_finite_sets_back_and_damps() -> None:
    x, guarded = tf.Variable([1.0, 2.0]), Guard()
    state = watch(guarded, x)
    one, update = tf.ones([2]), tf.constant([0.1, 0.2])
    for gradient, proposed, expected, back in (
        (one, update, update, False),
        (one * np.nan, update, [0.0, 0.0], True),
        (one, update * guard.DAMPING**-1, update, False),
        (one, update * np.inf, [0.0, 0.0], True),
    ):
        [addition], set_back = guarded([gradient], [proposed], [x], state)
        np.testing.assert_allclose(np.array(addition), np.array(expected), rtol=1e-6)
        assert bool(set_back) is back
    x.assign([5.0, 5.0])
    np.testing.assert_array_equal(guarded([one * np.inf], [update], [x], state)[0][0], [-4.0, -3.0])
    x.assign([1.0, 2.0])
    [addition], _ = guarded([tf.constant([3.0, -4.0])], [update], [x], state)  # now the normalized gradient
    np.testing.assert_allclose(tf.norm(addition), guard.NORMALIZED_RATE * np.sqrt(2), rtol=1e-5)
    np.testing.assert_allclose(addition / tf.norm(addition), [-0.6, 0.8], rtol=1e-5)


def test_growing_gradients_downhill_are_left_alone() -> None:
    """A plateau that ends: f(x) = -exp(x), whose gradient grows a hundredfold on the way down."""
    x, guarded = tf.Variable([0.0]), Guard()
    state = watch(guarded, x)
    for _ in range(60):
        [addition], set_back = guarded([-tf.exp(x)], [tf.constant([0.1])], [x], state)
        assert not bool(set_back)
        x.assign_add(addition)
    np.testing.assert_allclose(x, 6.0, rtol=1e-5)


def test_uphill_is_undone_after_a_window_or_at_a_jump() -> None:
    """f(x) = x² and an optimizer that runs away from 0: after a window back at the start, after a jump at once."""
    for step, steps in ((0.6, guard.WINDOW), (20.0, 2)):
        x, guarded = tf.Variable([1.0]), Guard()
        state = watch(guarded, x)
        for count in range(1, steps + 1):
            [addition], set_back = guarded([2 * x], [tf.constant([step])], [x], state)
            assert bool(set_back) is (count == steps)
            x.assign_add(addition)
        np.testing.assert_allclose(x, 1.0, rtol=1e-6)
