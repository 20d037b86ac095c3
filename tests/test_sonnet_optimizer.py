"""The Sonnet optimizer against the library's own updates."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from l2l_tf.errors import InputError
from l2l_tf.integrations.sonnet import LearnedOptimizer
from l2l_tf.optimizers import everything
from l2l_tf.serialization.trained import build_optimizer, load_optimizer, read_variables, save_optimizer

LSTM = {
    "_target_": "l2l_tf.optimizers.CoordinatewiseLSTM",
    "layers": [8, 8],
    "preprocessing": {"_target_": "l2l_tf.optimizers.LogAndSign", "p": 10.0},
    "output_scale": 0.01,
}
TWO_GROUPS = {
    "_target_": "l2l_tf.optimizers.ParameterGroups",
    "groups": [
        {"optimizer": LSTM | {"seed": 1}, "parameters": ["conv*/w"]},
        {"optimizer": LSTM | {"seed": 2, "layers": [5]}, "parameters": ["*/b", "linear/*"]},
    ],
}


def store(folder: Path, config: dict[str, Any]) -> Path:
    save_optimizer(folder, config, read_variables(everything(build_optimizer(config))))
    return folder


class ConvNet(snt.Module):
    def __init__(self) -> None:
        super().__init__("conv_net")
        self.conv = snt.Conv2D(4, 3, name="conv")
        self.linear = snt.Linear(3, name="linear")

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        return self.linear(snt.flatten(tf.tanh(self.conv(images))))


def mlp() -> Any:
    return snt.Sequential([snt.Flatten(), snt.nets.MLP([9, 3], activation=tf.sigmoid)])


def problem(make_net: Callable[[], Any]) -> tuple[tuple[tf.Variable, ...], Callable[[], list[tf.Tensor]]]:
    """Parameters, and their gradients on one batch."""
    tf.random.set_seed(0)
    rng = np.random.default_rng(0)
    images = tf.constant(rng.normal(size=[16, 6, 6, 1]), tf.float32)
    labels = tf.constant(rng.integers(3, size=16))
    net = make_net()
    net(images)

    @tf.function(autograph=False)
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, net(images)))
        return tape.gradient(loss, net.trainable_variables)

    return net.trainable_variables, gradients


@pytest.mark.parametrize(("make_net", "config"), [(mlp, LSTM), (ConvNet, TWO_GROUPS)])
def test_apply_makes_the_librarys_updates(make_net: Callable[[], Any], config: dict[str, Any], tmp_path: Path) -> None:
    folder = store(tmp_path, config)
    parameters, gradients = problem(make_net)
    start = [parameter.numpy() for parameter in parameters]
    names = ["/".join(parameter.name.removesuffix(":0").split("/")[-2:]) for parameter in parameters]

    library = load_optimizer(folder)
    update = tf.function(library.update)
    state = library.init(dict(zip(names, parameters, strict=True)))
    for _ in range(50):
        updates, state = update(dict(zip(names, gradients(), strict=True)), state)
        for name, parameter in zip(names, parameters, strict=True):
            parameter.assign_add(updates[name])
    expected = [parameter.numpy() for parameter in parameters]

    optimizer = LearnedOptimizer(folder, guard=False)  # untrained: it diverges
    for parameter, value in zip(parameters, start, strict=True):
        parameter.assign(value)
    apply = tf.function(lambda: optimizer.apply(gradients(), parameters))
    for _ in range(50):
        apply()
    for found, wanted, old in zip(parameters, expected, start, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        assert np.abs(wanted - old).max() > 1e-2


def test_checkpoint_restores_the_state(tmp_path: Path) -> None:
    folder = store(tmp_path / "optimizer", LSTM)
    x = tf.Variable([1.0, -2.0])

    def steps(optimizer: LearnedOptimizer) -> np.ndarray:
        for _ in range(5):
            optimizer.apply([2.0 * x], [x])
        return x.numpy()

    optimizer = LearnedOptimizer(folder)
    steps(optimizer)
    path = tf.train.Checkpoint(x=x, optimizer=optimizer).write(str(tmp_path / "checkpoint"))
    expected = steps(optimizer)
    again = LearnedOptimizer(folder)
    tf.train.Checkpoint(x=x, optimizer=again).read(path)
    np.testing.assert_array_equal(steps(again), expected)


def test_the_default_optimizer_minimizes_what_it_has_never_seen() -> None:
    x, scales, optimizer = tf.Variable(tf.ones([20])), tf.exp(tf.linspace(-2.0, 2.0, 20)), LearnedOptimizer()
    for _ in range(200):
        optimizer.apply([scales * x], [x])
    assert tf.reduce_sum(scales * x**2) < 0.1 * tf.reduce_sum(scales)


def test_missing_and_sparse_gradients_and_learning_rate(tmp_path: Path) -> None:
    folder = store(tmp_path, LSTM)
    dense, sparse, idle = (tf.Variable(tf.ones([3, 2]), name=name) for name in ("same", "same", "idle"))
    half = tf.Variable(tf.ones([3, 2]))
    gradient = tf.constant([[0.0, 0.0], [1.0, -1.0], [0.0, 0.0]])
    slices = tf.IndexedSlices(gradient[1:2], tf.constant([1]), tf.constant([3, 2]))
    LearnedOptimizer(folder).apply([gradient, slices, None], [dense, sparse, idle])
    LearnedOptimizer(folder, learning_rate=0.5).apply([gradient], [half])
    np.testing.assert_array_equal(sparse, dense)
    np.testing.assert_array_equal(idle, tf.ones([3, 2]))
    np.testing.assert_allclose(half - 1, (dense - 1) / 2, atol=1e-6)


def test_wrong_calls_are_refused(tmp_path: Path) -> None:
    optimizer = LearnedOptimizer(store(tmp_path, LSTM))
    x, y = tf.Variable([1.0]), tf.Variable([1.0])
    one = tf.ones([1])
    with pytest.raises(InputError, match="2 updates for 1 parameters"):
        optimizer.apply([one, one], [x])
    with pytest.raises(InputError, match="all are None"):
        optimizer.apply([None], [x])
    optimizer.apply([one], [x])
    with pytest.raises(InputError, match="those of the first call"):
        optimizer.apply([one], [y])
