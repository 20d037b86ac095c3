"""Tuning: the best rate where it is known, a grid that widens, and no choice at an edge."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from l2l_tf.errors import InputError
from l2l_tf.evaluation.tune import tune
from l2l_tf.optimizees import Optimizee, Parameters, Simple
from l2l_tf.optimizers import SGD, Adam


class Parabola(Optimizee):
    """f(x) = a x² / 2 from x = 1: gradient descent with rate 1/a is there in one step, with 2/a or more never."""

    def __init__(self, curvature: float):
        self.curvature = curvature

    def init(self, seed: tf.Tensor) -> Parameters:
        return {"x": tf.ones([])}

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        return 0.5 * self.curvature * params["x"] ** 2


class Flat(Simple):
    """No rate is better than another."""

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        return 0.0 * super().loss(params, problem, seed) + 1.0


class Hopeless(Simple):
    """Every rate diverges."""

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        return super().loss(params, problem, seed) / 0.0


def chosen(rates: pd.DataFrame) -> float:
    assert rates.chosen.sum() == 1
    return float(rates.learning_rate[rates.chosen].item())


def test_the_best_rate_of_a_parabola_is_found() -> None:
    lines: list[str] = []
    rates = tune(Parabola(10.0), SGD, problems=2, steps=3, report=lines.append)
    assert chosen(rates) == pytest.approx(0.1)
    np.testing.assert_allclose(np.log10(rates.learning_rate), np.arange(-12, 1) / 4, atol=1e-6)
    assert list(rates.columns) == ["learning_rate", "loss", "chosen", "n"]
    assert rates.n.tolist() == [2] * 13
    assert rates.loss.idxmin() == rates.chosen.idxmax()
    assert lines == []


def test_the_losses_are_the_analytic_ones() -> None:
    rates = tune(Parabola(1.0), SGD, problems=1, steps=3, low=0.1, high=10.0, per_decade=1)
    expected = [0.5 * (1 - rate) ** (2 * 3) for rate in rates.learning_rate]
    np.testing.assert_allclose(rates.loss, expected, rtol=1e-4, atol=1e-12)


def test_a_rates_loss_is_the_mean_over_the_last_steps() -> None:
    rates = tune(Parabola(1.0), SGD, problems=1, steps=4, window=3, low=0.1, high=10.0, per_decade=1)
    first = np.mean([0.5 * 0.9 ** (2 * step) for step in (2, 3, 4)])
    assert rates.loss.iloc[0] == pytest.approx(first, rel=1e-5)


@pytest.mark.parametrize(
    ("curvature", "low", "high"), [(1e-3, 1e-2, 1.0), (1e4, 1e-2, 1.0), (1.0, 1.0, 1.0), (1e3, 1e-3, 1e-3)]
)
def test_the_grid_widens_until_the_best_rate_is_inside_and_says_so(curvature: float, low: float, high: float) -> None:
    lines: list[str] = []
    rates = tune(Parabola(curvature), SGD, problems=1, steps=2, low=low, high=high, per_decade=2, report=lines.append)
    assert chosen(rates) == pytest.approx(1 / curvature)
    assert rates.learning_rate.min() < 0.99 / curvature < 1.01 / curvature < rates.learning_rate.max()
    assert lines
    assert all("at the grid's edge: trying" in line for line in lines)
    assert len(lines) == len(rates) - (round(2 * np.log10(high / low)) + 1)
    assert rates.learning_rate.is_monotonic_increasing


def test_a_rate_that_diverges_has_an_infinite_loss_and_is_never_chosen() -> None:
    rates = tune(Parabola(1e3), SGD, problems=1, steps=50, low=1e-4, high=1e3, per_decade=1)
    assert np.isinf(rates.loss[rates.learning_rate > 1.0]).all()
    assert not rates.loss.isna().any()
    assert chosen(rates) == pytest.approx(1e-3)


def test_a_grid_where_all_diverges_widens_downwards() -> None:
    rates = tune(Parabola(1e3), SGD, problems=1, steps=50, low=10.0, high=100.0, per_decade=1)
    assert chosen(rates) == pytest.approx(1e-3)


@pytest.mark.parametrize("optimizee", [Flat(), Hopeless()])
def test_where_no_rate_is_best_none_is_chosen(optimizee: Optimizee) -> None:
    with pytest.raises(InputError, match="as wide as it gets"):
        tune(optimizee, SGD, problems=1, steps=2, low=0.1, high=1.0, per_decade=1)


class Moody(Parabola):
    """Best at rate 0.1, but half of the problems punish whoever is at the bottom; the first one of seed 0 does not."""

    def problem(self, seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform([], seed)

    def loss(self, params: Parameters, problem: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        at_the_bottom = tf.cast(tf.abs(params["x"]) < 1e-3, tf.float32)
        return super().loss(params, problem, seed) + 100.0 * at_the_bottom * tf.cast(problem < 0.5, tf.float32)


def test_a_rate_that_spoils_some_runs_is_found_out_by_more_problems() -> None:
    few = tune(Moody(10.0), SGD, problems=1, steps=3, seed=0)
    many = tune(Moody(10.0), SGD, problems=1, steps=3, finals=8, seed=0)
    assert chosen(few) == pytest.approx(0.1)
    assert chosen(many) == pytest.approx(10**-1.25) or chosen(many) == pytest.approx(10**-0.75)
    place = int(np.argmax(many.chosen))
    assert many.n.iloc[place - 1 : place + 2].tolist() == [8, 8, 8]
    assert many.n.min() == 1


def test_adam_is_tuned_the_same_way() -> None:
    rates = tune(Simple(), Adam, problems=1, steps=20, low=1e-3, high=1.0, per_decade=2)
    assert 0.01 < chosen(rates) < 1.0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"problems": 0}, r"problems=0"),
        ({"steps": 0}, r"steps=0"),
        ({"finals": 0}, r"finals=0"),
        ({"window": 0}, r"window=0"),
        ({"window": 4}, r"window=4: must be at most steps=3"),
        ({"per_decade": 0}, r"per_decade=0"),
        ({"low": 0.0}, r"low=0\.0"),
        ({"low": 1.0, "high": 0.1}, r"low=1\.0: must be at most high=0\.1"),
    ],
)
def test_an_impossible_tuning_is_refused(arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        tune(Simple(), SGD, **({"problems": 1, "steps": 3} | arguments))
