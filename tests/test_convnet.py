"""The convolutional network: its parameters, its values against Keras, and its way through rollout and replay."""

from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import seeds
from l2l_tf.data import Images, load_cifar10
from l2l_tf.errors import InputError
from l2l_tf.meta.replay import ReplayMetaGradient
from l2l_tf.optimizees import Parameters, SonnetClassifier, convnet
from l2l_tf.optimizees.base import batch_loss_and_gradients
from l2l_tf.optimizers import CoordinatewiseLSTM, Group, ParameterGroups
from l2l_tf.unroll import rollout, start

DATA = Path(__file__).parent.parent / "data"
SCALES = {"batch_norm_*/scale": 1.0}
TINY: dict[str, Any] = {"channels": (2, 3), "kernel": 3, "units": (4,), "classes": 3}


def random_images(count: int = 64, size: int = 32, labels: int = 10) -> Images:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, [count, size, size, 3], dtype=np.uint8)
    return Images(pixels, np.resize(np.arange(labels, dtype=np.int32), count))


def paper_net(**arguments: Any) -> SonnetClassifier:
    return SonnetClassifier(convnet, random_images(), initial_means=SCALES, **arguments)


def tiny_net(**module: Any) -> SonnetClassifier:
    make = partial(convnet, **(TINY | module))
    return SonnetClassifier(make, random_images(30, 8, 3), batch_size=6, initial_deviation=0.1, initial_means=SCALES)


def seed(*numbers: int) -> tf.Tensor:
    return tf.constant(numbers, tf.int32)


def test_the_papers_net_has_its_parameters() -> None:
    shapes = {name: tuple(shape) for name, shape in paper_net().shapes.items()}
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 22_762
    norms = {f"batch_norm_{k}/{kind}": (n,) for k, n in enumerate((16, 16, 16, 32)) for kind in ("scale", "offset")}
    assert shapes == norms | {
        "conv_0/w": (5, 5, 3, 16),
        "conv_1/w": (5, 5, 16, 16),
        "conv_2/w": (5, 5, 16, 16),
        **{f"conv_{k}/b": (16,) for k in range(3)},
        "linear_0/w": (4 * 4 * 16, 32),
        "linear_0/b": (32,),
        "linear_1/w": (32, 10),
        "linear_1/b": (10,),
    }


def test_theta_0_is_gaussian_and_the_scales_are_around_one() -> None:
    params = paper_net(initial_deviation=0.02).init(seed(0, 0))
    for name, tensor in params.items():
        mean = 1.0 if name.endswith("scale") else 0.0
        error = 5 * 0.02 / tensor.shape.num_elements() ** 0.5
        assert float(tf.reduce_mean(tensor)) == pytest.approx(mean, abs=error)
        assert float(tf.math.reduce_std(tensor)) == pytest.approx(0.02, rel=0.6)


def keras_net(params: Parameters) -> keras.Model:
    """The same net in Keras, ReLU before pooling as in the released code, with these parameters."""
    layers: list[keras.Layer] = [keras.Input((32, 32, 3))]
    weights: list[np.ndarray] = []

    def add(layer: keras.Layer, *names: str) -> None:
        layers.append(layer)
        weights.extend(params[name].numpy() for name in names)

    for k in range(3):
        add(keras.layers.Conv2D(16, 5, padding="same"), f"conv_{k}/w", f"conv_{k}/b")
        add(keras.layers.BatchNormalization(epsilon=1e-5), f"batch_norm_{k}/scale", f"batch_norm_{k}/offset")
        layers += [keras.layers.ReLU(), keras.layers.MaxPooling2D(2)]
    layers.append(keras.layers.Flatten())
    add(keras.layers.Dense(32), "linear_0/w", "linear_0/b")
    add(keras.layers.BatchNormalization(epsilon=1e-5), "batch_norm_3/scale", "batch_norm_3/offset")
    layers.append(keras.layers.ReLU())
    add(keras.layers.Dense(10), "linear_1/w", "linear_1/b")
    model = keras.Sequential(layers)
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(value)
    return model


@pytest.mark.parametrize("deviation", [0.01, 0.1])
def test_loss_and_gradient_are_those_of_keras(deviation: float) -> None:
    # Few images: of a great many pooled values some two are equal up to rounding, and either may get the gradient.
    data, batch_size = random_images(), 16
    net = paper_net(initial_deviation=deviation, batch_size=batch_size)
    params = net.init(seed(0, 0))
    batched = {name: tensor[tf.newaxis] for name, tensor in params.items()}
    losses, gradients = batch_loss_and_gradients(net, batched, (), seed(1, 2)[tf.newaxis])

    drawn = tf.random.stateless_uniform([batch_size], seed(1, 2), 0, len(data.labels), tf.int32).numpy()
    model = keras_net(params)
    with tf.GradientTape() as tape:
        logits = model(data.images[drawn].astype(np.float32) / 255, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(data.labels[drawn], logits))
    expected = tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    assert float(losses[0]) == pytest.approx(float(loss), rel=1e-4)
    for name, gradient in zip(keras_order(), expected, strict=True):
        error = float(tf.norm(gradients[name][0] - gradient))
        assert error <= 1e-4 * max(float(tf.norm(gradient)), 0.1), name  # that of a bias before batch norm is zero


def keras_order() -> list[str]:
    """The parameters in the order of Keras's variables."""
    blocks = [("conv_0", 0), ("conv_1", 1), ("conv_2", 2), ("linear_0", 3)]
    names = [n for b, k in blocks for n in (f"{b}/w", f"{b}/b", f"batch_norm_{k}/scale", f"batch_norm_{k}/offset")]
    return [*names, "linear_1/w", "linear_1/b"]


def test_the_net_is_a_pure_function_with_batch_statistics() -> None:
    net = tiny_net()
    params = net.init(seed(0, 0))
    losses = [float(net.loss(params, (), seed(1, step))) for step in (0, 1, 0)]
    assert losses[0] == losses[2] != losses[1]  # no moving average is carried from one call to the next
    one, both = random_images(2, 8).images[:1], random_images(2, 8).images
    assert not np.allclose(net.logits(params, one)[0], net.logits(params, both)[0])


def test_sizes_are_configurable() -> None:
    shapes = tiny_net(channels=(2,), kernel=1, pool=4, units=(), classes=7).shapes
    assert {name: tuple(shape) for name, shape in shapes.items()} == {
        "conv_0/w": (1, 1, 3, 2),
        "conv_0/b": (2,),
        "batch_norm_0/scale": (2,),
        "batch_norm_0/offset": (2,),
        "linear_0/w": (2 * 2 * 2, 7),
        "linear_0/b": (7,),
    }


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"channels": (16, 0)}, r"channels=0"),
        ({"units": (-1,)}, r"units=-1"),
        ({"kernel": 0}, r"kernel=0"),
        ({"pool": 0}, r"pool=0"),
        ({"classes": 0}, r"classes=0"),
        ({"classes": 2}, r"module: makes 2 logits for 3 labels"),
    ],
)
def test_an_impossible_net_is_refused(arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        tiny_net(**arguments)


def lstm() -> CoordinatewiseLSTM:
    return CoordinatewiseLSTM(layers=(3,))


@pytest.mark.parametrize(
    "optimizer",
    [
        ParameterGroups([Group(lstm(), ["conv_*/w"]), Group(lstm(), ["conv_*/b", "batch_norm_*", "linear_*"])], False),
        ParameterGroups([Group(lstm())], False),
    ],
    ids=["two LSTMs", "one LSTM"],
)
def test_learned_optimizers_roll_out_and_replay_on_it(optimizer: ParameterGroups) -> None:
    net = tiny_net()
    begin = start(net, optimizer, seeds.problem_keys(0, "train", [0, 1]))
    trajectory = rollout(net, optimizer, begin, tf.constant(0), 2, record=True)
    assert np.isfinite(trajectory.losses).all()
    assert set(trajectory.end.params) == set(net.shapes)
    method = ReplayMetaGradient(net, optimizer)
    meta_gradient = method.replayed(begin.state, trajectory, tf.ones([2]), seed(0, 0))
    assert len(meta_gradient) == len(optimizer.trainable_variables)
    assert all(np.isfinite(part).all() and np.any(part) for part in meta_gradient)


@pytest.mark.skipif(not (DATA / "cifar10").is_dir(), reason="no CIFAR-10: run `make data`")
def test_it_learns_real_images() -> None:
    net = SonnetClassifier(partial(convnet, classes=2), load_cifar10(DATA, "test", [0, 1]), initial_means=SCALES)
    params = {name: tensor[tf.newaxis] for name, tensor in net.init(seed(0, 0)).items()}
    step = tf.function(partial(batch_loss_and_gradients, net), autograph=False)
    losses = []
    for number in range(20):
        loss, gradients = step(params, (), seed(0, number)[tf.newaxis])
        params = {name: params[name] - 0.03 * gradients[name] for name in params}
        losses.append(float(loss[0]))
    assert losses[0] == pytest.approx(np.log(2), abs=0.05)
    assert np.mean(losses[-3:]) < 0.63
