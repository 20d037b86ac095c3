"""The learned optimizer against a transcription of its equations, and its initial weights."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.errors import InputError
from l2l_tf.optimizers import CoordinatewiseLSTM, LogAndSign, OddLSTM, ParameterGroups, everything
from l2l_tf.optimizers.lstm import LSTMLayer


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


class Transcription:
    """Section 2.1's optimizer for one coordinate at a time, in float64, from the weights of a `CoordinatewiseLSTM`."""

    def __init__(self, optimizer: CoordinatewiseLSTM):
        self.optimizer = optimizer
        self.state = [(np.zeros(layer.size), np.zeros(layer.size)) for layer in optimizer.layers]

    def features(self, gradient: float) -> np.ndarray:
        if not isinstance(self.optimizer.preprocessing, LogAndSign):
            return np.array([gradient])
        p = self.optimizer.preprocessing.p
        if abs(gradient) >= np.exp(-p):
            return np.array([np.log(abs(gradient)) / p, np.sign(gradient)])
        return np.array([-1.0, np.exp(p) * gradient])

    def update(self, gradient: float) -> float:
        x = self.features(gradient)
        for k, layer in enumerate(self.optimizer.layers):
            h, c = self.state[k]
            W, b = layer.w_gates.numpy().astype(np.float64), layer.b_gates.numpy()[:, 0].astype(np.float64)
            i, j, f, o = np.split(W @ np.concatenate([x, h]) + b, 4)
            c = c * sigmoid(f + 1.0) + sigmoid(i) * np.tanh(j)
            h = np.tanh(c) * sigmoid(o)
            self.state[k], x = (h, c), h
        output = self.optimizer.w_output.numpy().astype(np.float64) @ x + self.optimizer.b_output.numpy()[:, 0]
        return self.optimizer.output_scale * float(output[0])


def randomized(optimizer: CoordinatewiseLSTM) -> CoordinatewiseLSTM:
    """With all weights random, so that the biases count too."""
    generator = np.random.default_rng(1)
    for variable in optimizer.trainable_variables:
        variable.assign(generator.normal(size=variable.shape).astype(np.float32))
    return optimizer


@pytest.mark.parametrize("preprocessing", [None, LogAndSign(p=10.0), LogAndSign(p=2.0)])
@pytest.mark.parametrize(("layers", "scale"), [((20, 20), 1.0), ((5,), 0.1), ((3, 4, 2), 0.01), ((), 0.5)])
def test_ten_steps_agree_with_the_equations(
    layers: tuple[int, ...], scale: float, preprocessing: LogAndSign | None
) -> None:
    optimizer = randomized(CoordinatewiseLSTM(layers, preprocessing, output_scale=scale))
    gradients = np.random.default_rng(2).normal(size=(10, 5)) * [1e-6, 1e-2, 0.3, 1.0, 10.0]
    transcriptions = [Transcription(optimizer) for _ in range(5)]
    state = optimizer.init(tf.zeros(5))
    for step in gradients.astype(np.float32):
        update, state = optimizer.update(tf.constant(step), state)
        expected = [one.update(float(gradient)) for one, gradient in zip(transcriptions, step, strict=True)]
        np.testing.assert_allclose(update, expected, rtol=1e-4, atol=1e-5)
    for k, (h, c) in enumerate(state):
        np.testing.assert_allclose(
            h, np.stack([one.state[k][0] for one in transcriptions], axis=1), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            c, np.stack([one.state[k][1] for one in transcriptions], axis=1), rtol=1e-4, atol=1e-5
        )


def test_the_forget_gate_gets_one_added() -> None:
    layer = LSTMLayer(1, 1, tf.constant([0, 0]), tf.float32, "lstm")
    layer.w_gates.assign(tf.zeros([4, 2]))
    h, c = layer(tf.zeros([1, 1]), tf.zeros([1, 1]), tf.constant([[2.0]]))
    np.testing.assert_allclose(c, [[2.0 / (1.0 + np.exp(-1.0))]], rtol=1e-6)
    np.testing.assert_allclose(h, 0.5 * np.tanh(c), rtol=1e-6)


def test_without_layers_it_is_linear() -> None:
    optimizer = CoordinatewiseLSTM(layers=())
    optimizer.w_output.assign([[-0.25]])
    optimizer.b_output.assign([[0.5]])
    update, state = optimizer.update(tf.constant([4.0, -2.0]), optimizer.init(tf.zeros(2)))
    np.testing.assert_allclose(update, [-0.5, 1.0])
    assert tf.nest.flatten(state) == []
    assert len(optimizer.trainable_variables) == 2


@pytest.mark.parametrize(("layers", "features"), [((20, 20), 1), ((20, 20), 2), ((7,), 2), ((), 1), ((), 2)])
def test_the_weights_have_the_shapes_of_the_equations(layers: tuple[int, ...], features: int) -> None:
    optimizer = CoordinatewiseLSTM(layers, LogAndSign() if features == 2 else None)
    sizes = [features, *layers]
    expected = [(1, sizes[-1]), (1, 1)]
    for inputs, size in zip(sizes, layers, strict=False):
        expected += [(4 * size, inputs + size), (4 * size, 1)]
    assert sorted(tuple(variable.shape) for variable in optimizer.trainable_variables) == sorted(expected)


def test_initial_weights_are_truncated_normal_with_the_inputs_deviation_and_biases_zero() -> None:
    optimizer = CoordinatewiseLSTM((200, 200), seed=3)
    for layer, inputs in zip(optimizer.layers, (1 + 200, 200 + 200), strict=True):
        weights = layer.w_gates.numpy() * inputs**0.5
        assert np.abs(weights).max() <= 2.0  # truncated at two deviations,
        assert weights.std() == pytest.approx(0.88, abs=0.01)  # which leaves 0.88 of one
        assert weights.mean() == pytest.approx(0.0, abs=0.01)
        assert not layer.b_gates.numpy().any()
    assert np.abs(optimizer.w_output.numpy() * 200**0.5).max() <= 2.0
    assert (optimizer.w_output.numpy() * 200**0.5).std() == pytest.approx(0.88, abs=0.15)
    assert not optimizer.b_output.numpy().any()


def test_the_output_deviation_multiplies_the_output_weights_only() -> None:
    one, tenth = CoordinatewiseLSTM((4,), seed=5), CoordinatewiseLSTM((4,), seed=5, output_deviation=0.1)
    np.testing.assert_allclose(0.1 * one.w_output.numpy(), tenth.w_output, rtol=1e-6)
    np.testing.assert_array_equal(one.layers[0].w_gates, tenth.layers[0].w_gates)


def test_the_seed_decides_the_weights() -> None:
    one, same, other = (CoordinatewiseLSTM((4, 4), seed=seed) for seed in (0, 0, 1))
    for a, b, c in zip(one.trainable_variables, same.trainable_variables, other.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)
        if a.numpy().any():
            assert (a.numpy() != c.numpy()).all()
    assert (one.layers[0].w_gates.numpy()[:, :1] != one.layers[1].w_gates.numpy()[:, :1]).all()


def test_the_output_scale_multiplies_the_update() -> None:
    gradients = {"x": tf.constant([0.5, -2.0])}
    updates = []
    for scale in (1.0, 0.1):
        optimizer = ParameterGroups(everything(CoordinatewiseLSTM((4,), output_scale=scale)).groups, compile=False)
        updates.append(optimizer.update(gradients, optimizer.init(gradients))[0]["x"].numpy())
    np.testing.assert_allclose(0.1 * updates[0], updates[1], rtol=1e-6)


def test_coordinates_share_the_weights_but_not_the_state() -> None:
    optimizer = CoordinatewiseLSTM((4,), seed=0)
    state = optimizer.init(tf.zeros(3))
    for gradient in ([1.0, 1.0, -1.0], [0.5, 0.5, 0.5]):
        update, state = optimizer.update(tf.constant(gradient), state)
    assert update[0] == update[1]
    assert update[0] != update[2]  # same last gradient, another past


def test_it_also_computes_in_float64() -> None:
    optimizer = CoordinatewiseLSTM((4,), LogAndSign(), dtype="float64")
    update, state = optimizer.update(tf.ones(2, tf.float64), optimizer.init(tf.zeros(2, tf.float64)))
    assert {update.dtype, *(tensor.dtype for tensor in tf.nest.flatten(state))} == {tf.float64}


@pytest.mark.parametrize("layers", [[0], [20, -1], [2.5]])
def test_a_layer_without_units_is_refused(layers: list[int]) -> None:
    with pytest.raises(InputError, match=r"layers="):
        CoordinatewiseLSTM(layers)


@pytest.mark.parametrize("size", [0, -4096])
def test_a_block_without_coordinates_is_refused(size: int) -> None:
    with pytest.raises(InputError, match=r"block_size="):
        CoordinatewiseLSTM((4,), block_size=size)


def test_odd_lstm_is_odd_and_stands_still_without_a_gradient() -> None:
    optimizer = randomized(OddLSTM((5, 4), LogAndSign(p=10.0), output_scale=0.1))
    gradients = tf.constant(np.random.default_rng(3).normal(size=[8, 6]) * [0, 1e-6, 1e-4, 1e-2, 1, 10], tf.float32)
    state, mirrored = optimizer.init(gradients[0]), optimizer.init(gradients[0])
    for gradient in gradients:
        update, state = optimizer.update(gradient, state)
        opposite, mirrored = optimizer.update(-gradient, mirrored)
        np.testing.assert_allclose(opposite, -update, rtol=1e-6)
        assert update[0] == 0.0
        assert np.all(update[1:] != 0.0)


def test_odd_lstm_is_half_the_difference_of_two_lstms() -> None:
    odd, plain = OddLSTM((5,), LogAndSign()), CoordinatewiseLSTM((5,), LogAndSign())
    gradients = tf.constant([[0.3, -2.0], [1e-6, 0.5]])
    state, there, back = odd.init(gradients[0]), plain.init(gradients[0]), plain.init(gradients[0])
    for gradient in gradients:
        update, state = odd.update(gradient, state)
        forward, there = plain.update(gradient, there)
        backward, back = plain.update(-gradient, back)
        np.testing.assert_allclose(update, (forward - backward) / 2, rtol=1e-5)
