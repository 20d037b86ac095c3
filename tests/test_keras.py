"""The Keras optimizer against the library's own updates, and its life within a saved model."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.data import load_mnist
from l2l_tf.errors import InputError
from l2l_tf.integrations.keras import LearnedOptimizer
from l2l_tf.integrations.variable_adapter import owners
from l2l_tf.optimizers import ParameterGroups, everything
from l2l_tf.serialization.trained import build_optimizer, load_optimizer, read_variables, save_optimizer

LSTM = {
    "_target_": "l2l_tf.optimizers.CoordinatewiseLSTM",
    "layers": [8, 8],
    "preprocessing": {"_target_": "l2l_tf.optimizers.LogAndSign", "p": 10.0},
    "output_scale": 0.01,
    "block_size": 100,  # below the number of coordinates, so that blocks are covered
}
TWO_GROUPS: dict[str, Any] = {
    "_target_": "l2l_tf.optimizers.ParameterGroups",
    "groups": [
        {"optimizer": LSTM | {"seed": 1}, "parameters": ["conv/kernel"]},
        {"optimizer": LSTM | {"seed": 2, "layers": [5]}, "parameters": ["*/bias", "dense/*"]},
    ],
}
LINEAR = {"_target_": "l2l_tf.optimizers.CoordinatewiseLSTM", "layers": []}
STEPS = 50
ROOT = Path(__file__).parent.parent


def store(folder: Path, config: Mapping[str, Any], **weights: float) -> Path:
    """A trained optimizer's folder; its weights are the initial ones, except those given."""
    arrays = read_variables(everything(build_optimizer(config)))
    arrays |= {f"0/{name}": np.full_like(arrays[f"0/{name}"], value) for name, value in weights.items()}
    save_optimizer(folder, config, arrays)
    return folder


def mlp() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(9, "sigmoid", name="hidden"), keras.layers.Dense(3, name="dense")]
    return keras.Sequential([keras.layers.Input([6, 6, 1]), keras.layers.Flatten(), *layers])


def conv_net() -> keras.Model:
    keras.utils.set_random_seed(1)
    images = keras.layers.Input([6, 6, 1])
    features = keras.layers.Conv2D(4, 3, activation="tanh", name="conv")(images)
    return keras.Model(images, keras.layers.Dense(3, name="dense")(keras.layers.Flatten()(features)))


def data(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images whose label can be seen."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=count)
    images = rng.normal(size=[count, 6, 6, 1]) + labels[:, None, None, None]
    return images.astype(np.float32), labels.astype(np.int32)


def crossentropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def reference(model: keras.Model, optimizer: ParameterGroups, images: np.ndarray, labels: np.ndarray) -> list[Any]:
    """θ after one pass in batches of 8, by `ParameterGroups` on all parameters together."""
    names = ["/".join(variable.path.split("/")[-2:]) for variable in model.trainable_variables]
    loss = crossentropy()

    @tf.function(autograph=False)
    def gradients(x: tf.Tensor, y: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            value = loss(y, model(x))
        return tape.gradient(value, [variable.value for variable in model.trainable_variables])

    update = tf.function(optimizer.update)
    state = optimizer.init({n: v.value for n, v in zip(names, model.trainable_variables, strict=True)})
    for start in range(0, len(labels), 8):
        grads = gradients(tf.constant(images[start : start + 8]), tf.constant(labels[start : start + 8]))
        updates, state = update(dict(zip(names, grads, strict=True)), state)
        for name, variable in zip(names, model.trainable_variables, strict=True):
            variable.assign_add(updates[name])
    return model.get_weights()


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(("make_model", "config"), [(mlp, LSTM), (conv_net, TWO_GROUPS)])
def test_fit_makes_the_librarys_updates(
    make_model: Callable[[], keras.Model], config: dict[str, Any], jit_compile: bool, tmp_path: Path
) -> None:
    folder = store(tmp_path / "optimizer", config)
    images, labels = data(8 * STEPS)
    expected = reference(make_model(), load_optimizer(folder), images, labels)
    model = make_model()
    before = model.get_weights()
    model.compile(LearnedOptimizer(folder, guard=False), crossentropy(), jit_compile=jit_compile)  # untrained: diverges
    model.fit(images, labels, batch_size=8, shuffle=False, verbose=0)
    for old, found, wanted in zip(before, model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        assert np.abs(found - old).max() > 1e-2


@pytest.mark.parametrize("file", ["model.keras", "model.h5"])
@pytest.mark.parametrize("config", [LSTM, TWO_GROUPS])
def test_saved_model_goes_on_as_without_a_break_and_without_the_folder(
    config: dict[str, Any], file: str, tmp_path: Path
) -> None:
    folder = store(tmp_path / "optimizer", config)
    images, labels = data(80)

    def fit(model: keras.Model) -> None:
        model.fit(images, labels, batch_size=8, shuffle=False, verbose=0)

    model = conv_net() if config is TWO_GROUPS else mlp()
    model.compile(LearnedOptimizer(folder, learning_rate=0.5), crossentropy())
    fit(model)
    model.save(tmp_path / file)
    fit(model)
    for part in folder.iterdir():
        part.unlink()
    loaded = keras.saving.load_model(tmp_path / file)
    assert isinstance(loaded.optimizer, LearnedOptimizer)
    assert int(loaded.optimizer.iterations) == 10
    fit(loaded)
    for found, wanted in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    for found, wanted in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_linear_optimizer_is_gradient_descent_and_the_loss_falls(tmp_path: Path) -> None:
    folder = store(tmp_path / "optimizer", LINEAR, w_output=-0.1)
    images, labels = data(400)
    learned, descent = mlp(), mlp()
    learned.compile(LearnedOptimizer(folder, learning_rate=0.5), crossentropy())
    descent.compile(keras.optimizers.SGD(0.05), crossentropy())
    options: dict[str, Any] = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0}
    losses = learned.fit(images, labels, **options).history["loss"]
    assert losses[2] < losses[1] < losses[0]
    np.testing.assert_allclose(losses, descent.fit(images, labels, **options).history["loss"], rtol=1e-4)


@pytest.mark.skipif(not (ROOT / "data" / "mnist").exists(), reason="needs `make data`")
def test_stored_optimizer_learns_mnist_and_survives_a_break(tmp_path: Path) -> None:
    train = load_mnist(ROOT / "data", "train")
    images, labels = train.images[: 128 * 50], train.labels[: 128 * 50]
    small = keras.initializers.RandomNormal(stddev=0.01, seed=0)
    layers = [
        keras.layers.Dense(20, "sigmoid", kernel_initializer=small),
        keras.layers.Dense(10, kernel_initializer=small),
    ]
    model = keras.Sequential([keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), *layers])

    def fit(model: keras.Model) -> float:
        return model.fit(images, labels, batch_size=128, shuffle=False, verbose=0).history["loss"][-1]

    model.compile(LearnedOptimizer(ROOT / "results" / "trained" / "mnist"), crossentropy())
    first = fit(model)
    model.save(tmp_path / "model.keras")
    second = fit(model)
    assert second < 0.35 < first
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(fit(loaded), second, rtol=1e-5)
    for found, wanted in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_variables_without_coordinates_are_left_alone(tmp_path: Path) -> None:
    x, nothing = tf.Variable(tf.ones([2]), name="x"), tf.Variable(tf.zeros([0, 3]), name="nothing")
    LearnedOptimizer(store(tmp_path, LSTM)).apply([tf.ones([2]), tf.zeros([0, 3])], [x, nothing])
    assert np.abs(x.numpy() - 1).min() > 0
    LearnedOptimizer(tmp_path).build([])
    only = LearnedOptimizer(tmp_path)
    only.apply([tf.zeros([0, 3])], [nothing])
    assert nothing.shape == [0, 3]
    assert int(only.iterations) == 1


def test_rows_of_an_embedding_without_gradient(tmp_path: Path) -> None:
    """The optimizer remembers a row's gradients and moves it on, or leaves it alone with its state."""
    folder = store(tmp_path, LSTM)
    second = np.array([[0.0, 0.0], [1.0, -1.0], [0.0, 0.0]])

    def after_two_steps(idle_rows: bool) -> tuple[np.ndarray, LearnedOptimizer]:
        embedding = tf.Variable(tf.ones([3, 2]))
        optimizer = LearnedOptimizer(folder, idle_rows=idle_rows)
        for row in (0, 1):
            values = tf.constant(second[1:2], tf.float32)
            optimizer.apply([tf.IndexedSlices(values, tf.constant([row]), tf.constant([3, 2]))], [embedding])
        return embedding.numpy() - 1, optimizer

    moved, _ = after_two_steps(idle_rows=True)
    still, optimizer = after_two_steps(idle_rows=False)
    assert np.abs(moved).min() > 0
    np.testing.assert_array_equal(still[2], 0)
    np.testing.assert_allclose(still[0], still[1])  # each had one step of its own
    assert optimizer.get_config()["idle_rows"] is False


def test_kernels_of_convolutions_are_found_whatever_their_names(tmp_path: Path) -> None:
    first, second = TWO_GROUPS["groups"]
    sonnet_names = [{**first, "parameters": ["conv_*/w"]}, second]
    folder = store(tmp_path, TWO_GROUPS | {"groups": sonnet_names})
    keras.utils.set_random_seed(1)
    images = keras.layers.Input([6, 6, 1])
    features = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, name="stem")(images))
    model = keras.Model(images, keras.layers.Dense(3, name="head")(features))
    optimizer = LearnedOptimizer(folder)
    assert optimizer.get_config()["parameters"] == "convolutions"
    found = owners(load_optimizer(folder), model.trainable_variables, "convolutions")
    assert dict(zip([v.path for v in model.trainable_variables], found, strict=True)) == {
        "stem/kernel": 0,
        "stem/bias": 1,
        "head/kernel": 1,
        "head/bias": 1,
    }
    attention, conv1d = (tf.Variable(tf.zeros([2, 2, 2]), name=name) for name in ("query/kernel", "conv1d_3/kernel"))
    assert owners(load_optimizer(folder), [attention, conv1d], "convolutions") == [1, 0]
    model.compile(optimizer, crossentropy())
    model.fit(*data(16), batch_size=8, verbose=0)
    assert LearnedOptimizer("cifar10").get_config()["parameters"] == "convolutions"


def test_state_that_is_no_vector_and_options_of_keras(tmp_path: Path) -> None:
    groups = [
        {"optimizer": {"_target_": "l2l_tf.optimizers.Adam", "learning_rate": 0.1}, "parameters": ["x"]},
        {"optimizer": {"_target_": "l2l_tf.optimizers.Momentum", "learning_rate": 0.1}, "parameters": ["y"]},
    ]
    folder = store(tmp_path, {"_target_": "l2l_tf.optimizers.ParameterGroups", "groups": groups})
    x, y, z = (tf.Variable(tf.ones([2]), name=name) for name in "xyz")
    optimizer = LearnedOptimizer(folder, parameters=["[xz]", "y"], learning_rate=1, clipvalue=0.5)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply([tf.fill([2], 2.0), tf.fill([2], 2.0), None], [x, y, z])
    np.testing.assert_allclose(x, 1 - 0.1, rtol=1e-5)
    np.testing.assert_allclose(y, 1 - 0.1 * 0.5, rtol=1e-5)
    np.testing.assert_allclose(z, 1)


def test_configuration_is_enough_and_damage_is_found(tmp_path: Path) -> None:
    optimizer = LearnedOptimizer(store(tmp_path, TWO_GROUPS), parameters=[["a/*"], "b/*"], learning_rate=2.0)
    config = optimizer.get_config()
    again = LearnedOptimizer.from_config(config)
    assert again.get_config() == config
    assert config["parameters"] == [["a/*"], ["b/*"]]
    with pytest.raises(InputError, match=r"optimizer.yaml is missing or damaged"):
        LearnedOptimizer.from_config(config | {"source": {"optimizer.safetensors": "AAAA"}})
    with pytest.raises(InputError, match="one entry for each of 2 groups"):
        LearnedOptimizer(tmp_path, parameters=["*"])
    with pytest.raises(InputError, match="pattern 'conv/kernel' matches none"):
        LearnedOptimizer(tmp_path).build(mlp().trainable_variables)
    with pytest.raises(InputError, match="no trained optimizer here"):
        LearnedOptimizer(tmp_path / "nothing")
