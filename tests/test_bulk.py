"""Rates and problems in one batch: what running each rate alone gives, however badly another rate fares."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from l2l_tf.data import Images
from l2l_tf.errors import InputError
from l2l_tf.evaluation import bulk
from l2l_tf.evaluation.bulk import rate_curves
from l2l_tf.evaluation.evaluate import Evaluator
from l2l_tf.optimizees import Optimizee, Quadratic, SonnetClassifier, convnet, mlp
from l2l_tf.optimizers import NAG, SGD, AdaGrad, Adam, Momentum, ParameterGroups, RMSprop
from l2l_tf.unroll import Trajectory, rollout


def images(side: int, channels: int) -> Images:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, [40, side, side, channels]).astype(np.uint8)
    return Images(pixels, random.integers(0, 10, 40).astype(np.int32))


OPTIMIZEES: dict[str, Callable[[], Optimizee]] = {
    "quadratic": lambda: Quadratic(dimension=3, functions=2),
    "mlp": lambda: SonnetClassifier(partial(mlp, units=3), images(4, 1), batch_size=5, compile=True),
    "mlp of a subset": lambda: SonnetClassifier(partial(mlp, units=3), images(4, 1), batch_size=5, subset=[10, 20]),
    "convnet": lambda: SonnetClassifier(
        partial(convnet, channels=[2], units=[3]), images(4, 3), batch_size=5, arguments={"is_training": True}
    ),
}


def one_by_one(optimizee: Optimizee, make_optimizer: Any, rates: list[float], problems: range, steps: int) -> Any:
    evaluators = [Evaluator(optimizee, make_optimizer(rate), steps) for rate in rates]
    return np.stack([evaluator.losses(3, "validation", problems)[0] for evaluator in evaluators])


@pytest.mark.parametrize("name", OPTIMIZEES)
def test_every_rate_has_the_curves_that_it_has_alone(name: str) -> None:
    optimizee, rates = OPTIMIZEES[name](), [1e-3, 1e-2, 1e-1]
    together = rate_curves(optimizee, Adam, rates, 3, "validation", range(1, 4), steps=4, batch=2)
    assert together.shape == (3, 3, 5)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, one_by_one(optimizee, Adam, rates, range(1, 4), 4), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "make_optimizer", [SGD, partial(Momentum, momentum=0.5), NAG, RMSprop, partial(Adam, beta_2=0.9), AdaGrad]
)
def test_every_optimizer_takes_a_rate_for_each_coordinate(make_optimizer: Any) -> None:
    optimizee, rates = Quadratic(dimension=3), [1e-3, 3e-2]
    together = rate_curves(optimizee, make_optimizer, rates, 3, "validation", range(2), steps=5)
    np.testing.assert_allclose(together, one_by_one(optimizee, make_optimizer, rates, range(2), 5), rtol=1e-5)


@pytest.mark.parametrize("name", ["quadratic", "mlp"])
def test_a_rate_that_diverges_leaves_the_others_alone(name: str) -> None:
    optimizee = OPTIMIZEES[name]()
    good = rate_curves(optimizee, SGD, [1e-2, 1e-1], 0, "validation", range(2), steps=60)
    with_bad = rate_curves(optimizee, SGD, [1e-2, 3e38, 1e-1], 0, "validation", range(2), steps=60)
    assert not np.isfinite(with_bad[1, :, -1]).any()
    np.testing.assert_array_equal(with_bad[[0, 2]], good)


def test_the_same_program_serves_the_next_rates_and_an_equal_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    optimizee, traces = Quadratic(dimension=2), []
    optimizee.compile = True  # compiling takes longer than running

    def counted(*args: Any, **options: Any) -> Trajectory:
        traces.append(1)
        return rollout(*args, **options)

    monkeypatch.setattr(bulk, "rollout", counted)
    for rates in ([0.1, 0.2, 0.3], [0.4], [0.1, 0.5, 0.6, 0.7]):
        rate_curves(optimizee, partial(NAG, momentum=0.8), rates, 0, "test", range(2), steps=3)
    assert len(traces) == 1


def test_an_optimizer_of_groups_is_refused() -> None:
    def groups(rate: Any) -> Any:
        return ParameterGroups([{"optimizer": SGD(rate)}])

    with pytest.raises(InputError, match=r"make_optimizer=ParameterGroups: must be of type CoordinatewiseOptimizer"):
        rate_curves(Quadratic(dimension=2), groups, [0.1], 0, "test", range(1), steps=1)
