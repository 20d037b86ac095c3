"""Optimizers on data that they were not trained on: which one a panel means, and the way to the stored curves."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hydra import compose, initialize
from omegaconf import DictConfig

from experiments.composition.build import plain
from experiments.composition.panel import compose_panel
from experiments.results.making import Maker
from l2l_tf.data.mnist import to_idx
from l2l_tf.errors import InputError
from l2l_tf.optimizers import ParameterGroups, everything
from l2l_tf.serialization.trained import build_optimizer, load_optimizer, read_variables, save_optimizer

ALL = ["cifar10", "cifar10_single", "cifar10_sub5", "cifar10_sub2", "mnist"]
MNIST = {"linear_0/w": tf.ones([4, 3]), "linear_0/b": tf.zeros([3])}


def composed(experiment: str, *overrides: str) -> DictConfig:
    with initialize("../conf", version_base="1.3"):
        return compose("train", [f"experiment={experiment}", *overrides])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with every experiment's optimizer as it is before training, and data sets of noise."""
    folder = tmp_path_factory.mktemp("results")
    for index, name in enumerate(ALL):
        config = plain(composed(name).optimizer)
        for seed, group in enumerate(config.get("groups", [])):
            group["optimizer"]["seed"] = 10 * index + seed
        save_optimizer(folder / "trained" / name, config, read_variables(everything(build_optimizer(config))))
    draw = np.random.default_rng(0)
    (folder / "data/mnist").mkdir(parents=True)
    (folder / "data/cifar10").mkdir()
    arrays: dict[str, Any] = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = draw.integers(0, 256, [100, 8, 8, 3], dtype=np.uint8), np.arange(100, dtype=np.uint8) % 10
        arrays |= {f"{part}_images": images, f"{part}_labels": labels}
        (folder / f"data/mnist/{prefix}-images-idx3-ubyte").write_bytes(to_idx(images[..., 0]))
        (folder / f"data/mnist/{prefix}-labels-idx1-ubyte").write_bytes(to_idx(labels))
    np.savez(folder / "data/cifar10/cifar10.npz", **arrays)
    return folder


def load(folder: Path, source: str) -> ParameterGroups:
    return Maker(folder, folder, "data").load(source)


def weights(folder: Path, source: str) -> dict[str, np.ndarray]:
    return read_variables(load(folder, source))


def test_a_group_of_a_trained_optimizer_updates_all_parameters(folder: Path) -> None:
    whole, second = weights(folder, "cifar10"), weights(folder, "cifar10:1")
    assert {f"1{name.removeprefix('0')}" for name in second} == {name for name in whole if name.startswith("1/")}
    for name, array in second.items():
        np.testing.assert_array_equal(array, whole[f"1{name.removeprefix('0')}"])
    assert any((array != whole[name]).any() for name, array in second.items())
    optimizer = load(folder, "cifar10:1")
    updates, _ = optimizer.update(MNIST, optimizer.init(MNIST))
    assert updates.keys() == MNIST.keys()


def test_without_its_group_an_optimizer_of_two_fits_no_other_network(folder: Path) -> None:
    with pytest.raises(InputError, match=r"pattern 'conv_\*/w' matches none of linear_0/b, linear_0/w"):
        load_optimizer(folder / "trained" / "cifar10").init(MNIST)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("cifar10:2", "learned=cifar10:2: group=2: must be one of 0, 1"),
        ("cifar10:", "learned=cifar10:: group=: must be one of 0, 1"),
        ("nothing:0", "nothing: no trained optimizer here"),
    ],
)
def test_a_group_or_training_that_is_not_there_is_refused(folder: Path, source: str, line: str) -> None:
    with pytest.raises(InputError, match=re.escape(line)):
        load(folder, source)


@pytest.mark.parametrize(
    ("guest", "home", "learned"),
    [
        (
            "transfer_mnist",
            "figure_4_centre",
            {"LSTM-CIFAR-10", "LSTM-CIFAR-10-single", "LSTM-CIFAR-10-sub5", "LSTM-CIFAR-10-sub2"},
        ),
        ("transfer_cifar10", "figure_7_left", {"LSTM-MNIST"}),
    ],
)
def test_transferred_optimizers_run_on_the_problems_of_the_panel_at_home(
    folder: Path, guest: str, home: str, learned: set[str]
) -> None:
    tiny = [f"panel.{name}=2" for name in ("problems", "steps", "window")] + ["panel.keep_last=null"]
    tiny += ["panel.baselines=null", "+optimizee.data.verify=false", "optimizee.batch_size=4"]
    maker, runs = Maker(folder, folder, str(folder / "data")), {}
    for key in (home, guest):
        panel = compose_panel(key, tiny)
        ((_, optimizee),) = panel.variations()
        runs[key] = maker.test_runs(panel, optimizee)
    assert set(runs[guest]) == learned
    assert set(runs[home]) == {"LSTM"}
    assert compose_panel(guest).beside == home
    starts = np.array([run.losses[:, 0] for found in runs.values() for run in found.values()])
    np.testing.assert_allclose(starts, starts[:1].repeat(len(starts), axis=0), rtol=1e-6)
    assert len(set(starts[0])) == 2
