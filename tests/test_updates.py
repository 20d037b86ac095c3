"""Appendix B: updates along a trajectory, those of other optimizers along the same one, and responses to gradients."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import seeds
from l2l_tf.evaluation.updates import (
    gradient_histories,
    lag_one_autocorrelation,
    proposed_updates,
    root_mean_square,
    update_responses,
)
from l2l_tf.optimizees import Quadratic
from l2l_tf.optimizers import SGD, Adam, CoordinatewiseLSTM
from l2l_tf.optimizers.groups import everything
from l2l_tf.unroll import rollout, start

QUADRATIC = Quadratic(dimension=3, functions=2)


def test_an_optimizers_proposals_for_its_own_gradients_are_its_steps() -> None:
    lstm = CoordinatewiseLSTM(layers=[4], block_size=2)
    gradients = gradient_histories(QUADRATIC, lstm, 5, [0, 3])
    assert gradients.shape == (2, 5, 6)
    groups = everything(lstm)
    begin = start(QUADRATIC, groups, seeds.problem_keys(0, "test", [3]))
    moved = rollout(QUADRATIC, groups, begin, tf.constant(0), 5, record=False).end.params["x"] - begin.params["x"]
    updates = proposed_updates(lstm, gradients[1])
    np.testing.assert_allclose(updates.sum(axis=0), np.reshape(moved, -1), rtol=1e-4, atol=1e-6)


def test_sgd_proposes_the_same_line_at_every_step() -> None:
    responses = update_responses(SGD(0.1), np.array([3.0, -1.0]), np.array([-2.0, 0.0, 5.0]))
    np.testing.assert_allclose(responses, [[0.2, 0.0, -0.5]] * 2, rtol=1e-6)


@pytest.mark.parametrize("optimizer", [Adam(0.1), CoordinatewiseLSTM(layers=[4])])
def test_the_response_to_the_gradient_that_came_is_the_update(optimizer: Adam | CoordinatewiseLSTM) -> None:
    history = np.random.default_rng(0).normal(size=4).astype(np.float32)
    responses = update_responses(optimizer, history, history)
    np.testing.assert_allclose(np.diag(responses), proposed_updates(optimizer, history[:, None])[:, 0], rtol=1e-5)


def test_adam_remembers_so_its_line_does_not_pass_through_zero() -> None:
    responses = update_responses(Adam(0.1), np.full(3, 2.0), np.zeros(1))
    assert responses[0, 0] == 0
    assert (responses[1:, 0] < -1e-3).all()


def test_the_measures_are_those_of_the_textbook() -> None:
    t = np.arange(400.0)
    updates = np.stack([np.sin(t / 30), np.where(t % 2 == 0, 3.0, -3.0)], axis=1)
    assert root_mean_square(updates[:, 1:]) == pytest.approx(3.0)
    assert lag_one_autocorrelation(updates[:, :1]) == pytest.approx(1.0, abs=0.01)
    assert lag_one_autocorrelation(updates[:, 1:]) == pytest.approx(-1.0, abs=0.01)
    assert lag_one_autocorrelation(updates) == pytest.approx(0.0, abs=0.01)
    noise = np.random.default_rng(0).normal(size=(2, 500, 20))
    np.testing.assert_allclose(lag_one_autocorrelation(noise), [0, 0], atol=0.03)
    assert lag_one_autocorrelation(np.stack([np.ones(9), np.sin(np.arange(9.0))], axis=1)) == pytest.approx(
        lag_one_autocorrelation(np.sin(np.arange(9.0))[:, None])
    )
