"""The factor on a trained optimizer's updates: what it does to φ, that it is the best one, and what is left on disk."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hydra import compose, initialize
from omegaconf import DictConfig

from experiments.rescale import rescale, with_factor
from experiments.train import train
from experiments.trainings import trainings_table
from l2l_tf.errors import InputError
from l2l_tf.evaluation import Evaluator
from l2l_tf.optimizees import Quadratic
from l2l_tf.optimizers import CoordinatewiseLSTM, Group, ParameterGroups
from l2l_tf.trained import load_optimizer, read_variables

SMALL = [
    *("optimizee.dimension=2", "optimizee.functions=1", "optimizer.layers=[]", "optimizer.output_deviation=0.0"),
    *("schedule.steps=6", "schedule.unroll=3", "schedule.epochs=2", "schedule.validation.every=2"),
    *("schedule.validation.problems=4", "schedule.learning_rate=5e-3"),
    "+rescale={group: 0, problems: 8, low: 1.0, high: 2.0, per_decade: 2}",
]


def composed(*arguments: str) -> DictConfig:
    with initialize(version_base="1.3", config_path="../conf"):
        return compose("train", [*SMALL, *arguments])


def test_a_factor_is_the_same_on_the_updates_and_on_the_output_layer() -> None:
    lstms = [CoordinatewiseLSTM((3,), seed=seed) for seed in (0, 1)]
    optimizer = ParameterGroups([Group(lstms[0], ["a"]), Group(lstms[1], ["b"])])
    gradients = {name: tf.random.stateless_normal([5], [0, k]) for k, name in enumerate("ab")}
    scaled, _ = with_factor(optimizer, 1, tf.Variable(3.0)).update(gradients, optimizer.init(gradients))
    for variable in (lstms[1].w_output, lstms[1].b_output):
        variable.assign(3.0 * variable)
    expected, _ = optimizer.update(gradients, optimizer.init(gradients))
    for name in gradients:
        np.testing.assert_allclose(scaled[name], expected[name], rtol=1e-6)


def test_the_factor_that_validates_best_is_kept_in_the_weights(tmp_path: Path) -> None:
    folder = tmp_path / "trained" / "small"
    config = composed()
    trained = train(config, folder).best_weights
    table = pd.read_csv(folder / "rescaling.csv").sort_values("loss")
    assert table.chosen.iloc[0]
    factor = table.factor.iloc[0]
    assert factor > 1  # after four meta-updates from zero
    kept = read_variables(load_optimizer(folder))
    for name, array in trained.items():
        np.testing.assert_allclose(kept[name], array * (factor if "output" in name else 1.0), rtol=1e-6)

    quadratic = Quadratic(2, 1)
    losses, _ = Evaluator(quadratic, load_optimizer(folder), 6, 8).losses(0, "validation", range(8))
    assert losses[:, -1].mean() == pytest.approx(table.loss.iloc[0], rel=1e-4)
    assert trainings_table(tmp_path).rescaled_by.item() == pytest.approx(factor)

    before = (folder / "rescaling.csv").read_text()
    train(config, folder)  # again: finished, and not scaled a second time
    assert (folder / "rescaling.csv").read_text() == before
    np.testing.assert_array_equal(read_variables(load_optimizer(folder))["0/w_output"], kept["0/w_output"])


def test_an_unknown_group_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape("rescale.group=1: must be one of 0")):
        rescale(composed("rescale.group=1"), tmp_path, {})
