"""Ill-conditioned quadratics have the condition numbers that they promise."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.errors import InputError
from l2l_tf.optimizees import IllConditioned


def problems(count: int, **arguments: Any) -> list[dict[str, np.ndarray]]:
    optimizee = IllConditioned(**arguments)
    return [{k: v.numpy() for k, v in optimizee.problem(tf.constant([seed, 0])).items()} for seed in range(count)]


def test_eigenvalues_lie_between_one_over_kappa_and_one_evenly_by_their_logarithm() -> None:
    for problem in problems(20, dimension=6, condition=(10.0, 1e4)):
        logs = np.log(np.linalg.svd(problem["W"].astype(float), compute_uv=False) ** 2)
        assert logs[0] == pytest.approx(0.0, abs=1e-4)
        assert np.log(10.0) - 1e-3 <= -logs[-1] <= np.log(1e4) + 1e-3
        np.testing.assert_allclose(np.diff(logs), np.mean(np.diff(logs)), rtol=1e-2)


def test_problems_differ_in_condition_and_basis_and_have_their_minimum_at_zero_loss() -> None:
    drawn = problems(30, dimension=4)
    conditions = [np.linalg.cond(problem["W"]) ** 2 for problem in drawn]
    assert min(conditions) < 100 < 1000 < max(conditions)
    assert abs(np.mean([np.sign(problem["W"][0, 0]) for problem in drawn])) < 0.6
    for problem in drawn[:3]:
        tensors = {name: tf.constant(array) for name, array in problem.items()}
        params = {"x": tensors["minimum"]}
        assert float(IllConditioned(4).loss(params, tensors, tf.constant([0, 0]))) == 0.0


@pytest.mark.parametrize("condition", [[10.0], [0.5, 2.0], [100.0, 10.0], "ab", [float("nan"), 2.0]])
def test_a_wrong_condition_is_refused(condition: Any) -> None:
    with pytest.raises(InputError, match=r"condition=.*must be \[least, most\]"):
        IllConditioned(4, condition)
