"""The optimizers for models of one's own: `MomentumMLP` and RNNprop, against their equations."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.errors import InputError
from l2l_tf.optimizers import Adam, AdamW, MomentumMLP, ParameterGroups, RNNprop, everything

SIZES = np.array([1e-6, 1e-2, 0.3, 1.0, 100.0])
GRADIENTS = np.random.default_rng(0).normal(size=(12, 5)) * SIZES


def steps(optimizer: Any, gradients: np.ndarray) -> np.ndarray:
    state, updates = optimizer.init(tf.zeros(gradients.shape[1])), []
    for gradient in gradients:
        update, state = optimizer.update(tf.constant(gradient, tf.float32), state)
        updates.append(update.numpy())
    return np.array(updates)


def randomized(optimizer: MomentumMLP | RNNprop) -> MomentumMLP | RNNprop:
    generator = np.random.default_rng(1)
    for variable in optimizer.trainable_variables:
        variable.assign(generator.normal(size=variable.shape).astype(np.float32))
    return optimizer


def test_untrained_it_is_adam() -> None:
    adam = steps(Adam(3e-3 * np.tanh(1.0), epsilon=0.0), GRADIENTS)
    np.testing.assert_allclose(steps(MomentumMLP(learning_rate=3e-3), GRADIENTS), adam, rtol=1e-4)


@pytest.mark.parametrize("factor", [1e-4, 1e3])
def test_it_does_not_depend_on_how_the_loss_is_scaled(factor: float) -> None:
    optimizer, gradients = randomized(MomentumMLP()), GRADIENTS[:, 1:]
    np.testing.assert_allclose(steps(optimizer, factor * gradients), steps(optimizer, gradients), rtol=1e-4)


def test_it_is_odd_bounded_and_still_without_gradients() -> None:
    optimizer = randomized(MomentumMLP(learning_rate=1e-3, rate_range=2.0))
    updates = steps(optimizer, GRADIENTS)
    np.testing.assert_allclose(steps(optimizer, -GRADIENTS), -updates, rtol=1e-5)
    assert (np.abs(updates) <= 1e-3 * np.exp(2.0) * 5 * 5).all()
    assert (np.abs(updates).max(axis=0) > 0).all()
    assert (steps(optimizer, np.zeros([3, 4])) == 0).all()
    huge = steps(optimizer, np.full([30, 2], 1e18))
    assert np.isfinite(huge).all()


def test_blocks_do_not_matter() -> None:
    whole, cut = randomized(MomentumMLP()), randomized(MomentumMLP(block_size=2))
    params = {"w": tf.zeros([2, 2]), "b": tf.zeros([1])}
    updates = []
    for optimizer in (everything(whole), everything(cut)):
        state = optimizer.init(params)
        for gradient in GRADIENTS:
            vector = tf.constant(gradient, tf.float32)
            update, state = optimizer.update({"w": tf.reshape(vector[:4], [2, 2]), "b": vector[4:]}, state)
        updates.append(np.concatenate([update["w"].numpy().ravel(), update["b"].numpy()]))
    np.testing.assert_allclose(updates[0], updates[1], rtol=1e-4)


def test_growth_multiplies_updates_where_gradients_last_and_not_where_they_have_vanished() -> None:
    gradients = np.ones([100, 2])
    gradients[10:, 1] = 1e-4
    plain, grown = steps(randomized(MomentumMLP()), gradients), steps(randomized(MomentumMLP(growth=0.5)), gradients)
    lasting = (1 + np.arange(1, 101) / 50) ** (0.5 / 1.003)
    np.testing.assert_allclose(grown[:, 0], plain[:, 0] * lasting, rtol=1e-4)
    np.testing.assert_allclose(grown[-1, 1], plain[-1, 1], rtol=0.02)


@pytest.mark.parametrize(
    "bad", [{"decays": [1.0]}, {"hidden": [0]}, {"learning_rate": 0.0}, {"rate_range": -1.0}, {"growth": -0.5}]
)
def test_bad_arguments_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        MomentumMLP(**bad)


def test_rnnprop_agrees_with_its_equations() -> None:
    optimizer = randomized(RNNprop(layers=(3, 4), projection=2))

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    def transcription(gradients: np.ndarray) -> list[float]:
        m = v = 0.0
        state = [(np.zeros(3), np.zeros(3)), (np.zeros(4), np.zeros(4))]
        updates = []
        for t, gradient in enumerate(gradients, start=1):
            m, v = 0.95 * m + 0.05 * gradient, 0.95 * v + 0.05 * gradient**2
            m_hat, v_hat = m / (1 - 0.95**t), v / (1 - 0.95**t)
            x = np.array([m_hat, gradient]) / (np.sqrt(v_hat) + 1e-8)
            x = optimizer.w_projection.numpy() @ x + optimizer.b_projection.numpy()[:, 0]
            x = np.where(x > 0, x, np.exp(x) - 1)
            for k, layer in enumerate(optimizer.layers):
                h, c = state[k]
                gates = layer.w_gates.numpy() @ np.concatenate([x, h]) + layer.b_gates.numpy()[:, 0]
                i, j, f, o = np.split(gates, 4)
                c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(j)
                x = sigmoid(o) * np.tanh(c)
                state[k] = x, c
            output = optimizer.w_output.numpy()[0] @ x + optimizer.b_output.numpy()[0, 0]
            updates.append(0.01 * np.tanh(output))
        return updates

    expected = np.transpose([transcription(GRADIENTS[:, k]) for k in range(5)])
    np.testing.assert_allclose(steps(optimizer, GRADIENTS), expected, rtol=2e-3, atol=1e-6)


def test_weight_decay_is_decoupled_from_adam() -> None:
    start = tf.constant([1.0, -2.0])
    plain, decayed = Adam(0.1), AdamW(0.1, weight_decay=0.5)
    states, theta = [plain.init(start), decayed.init(start)], start
    for gradient in ([1.0, 0.5], [-3.0, 0.0], [0.2, 0.1]):
        step, states[0] = plain.update(tf.constant(gradient), states[0])
        update, states[1] = decayed.update(tf.constant(gradient), states[1])
        np.testing.assert_allclose(update, step - 0.1 * 0.5 * theta, rtol=1e-5)
        theta += update


def test_its_groups_are_learned() -> None:
    assert len(ParameterGroups([{"optimizer": MomentumMLP(hidden=[4])}]).trainable_variables) == 4
