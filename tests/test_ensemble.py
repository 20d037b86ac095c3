"""An ensemble is its members, side by side."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import seeds
from l2l_tf.errors import InputError
from l2l_tf.evaluation.evaluate import evaluate
from l2l_tf.meta.autodiff import AutodiffMetaGradient
from l2l_tf.meta.base import Unroll
from l2l_tf.meta.replay import ReplayMetaGradient
from l2l_tf.optimizees import Ensemble, Quadratic, Simple
from l2l_tf.optimizees.base import batch_loss_and_gradients
from l2l_tf.optimizees.ensemble import of_member
from l2l_tf.optimizers import SGD, CoordinatewiseLSTM, everything
from l2l_tf.unroll import start


def test_losses_and_gradients_are_the_weighted_members() -> None:
    members = [Quadratic(dimension=3), Simple(variables=2), Quadratic(dimension=5)]
    weights = [0.5, 2.0, 3.0]
    ensemble = Ensemble(members, weights)
    seed = tf.constant([[5, 6]])
    params = {name: tensor[tf.newaxis] for name, tensor in ensemble.init(seed[0]).items()}
    problem = tf.nest.map_structure(lambda tensor: tensor[tf.newaxis], ensemble.problem(seed[0]))
    loss, gradients = batch_loss_and_gradients(ensemble, params, problem, seed)
    total = 0.0
    for k, (member, weight) in enumerate(zip(members, weights, strict=True)):
        of_one = of_member(seed[0], k)
        own = {name: tensor[tf.newaxis] for name, tensor in member.init(of_one).items()}
        data = tf.nest.map_structure(lambda tensor: tensor[tf.newaxis], member.problem(of_one))
        part, expected = batch_loss_and_gradients(member, own, data, of_one[tf.newaxis])
        total += weight * float(part[0])
        for name, gradient in expected.items():
            np.testing.assert_array_equal(params[f"{k}/{name}"], own[name])
            np.testing.assert_allclose(gradients[f"{k}/{name}"], weight * gradient, rtol=1e-6)
    assert float(loss[0]) == pytest.approx(total, rel=1e-6)


def test_members_of_one_kind_draw_independently_and_the_first_as_if_alone() -> None:
    seed = tf.constant([3, 4])
    first, second = Ensemble([Quadratic(4), Quadratic(4)]).problem(seed)
    np.testing.assert_array_equal(first["W"], Quadratic(4).problem(seed)["W"])
    assert abs(np.corrcoef(np.ravel(first["W"]), np.ravel(second["W"]))[0, 1]) < 0.9


def test_an_optimizer_treats_members_as_if_alone() -> None:
    alone = [evaluate(Simple(1, value), SGD(0.1), problems=1, steps=3).loss for value in (1.0, 2.0)]
    together = evaluate(Ensemble([Simple(1, 1.0), Simple(1, 2.0)]), SGD(0.1), problems=1, steps=3).loss
    np.testing.assert_allclose(together, alone[0] + alone[1], rtol=1e-6)


def test_the_meta_gradient_is_that_of_the_sum() -> None:
    ensemble, optimizer = Ensemble([Quadratic(3), Simple(2)], [1.0, 0.5]), everything(CoordinatewiseLSTM((3,)))
    begin = start(ensemble, optimizer, seeds.problem_keys(0, "train", range(2)))
    unroll = Unroll(begin, tf.constant(0), tf.ones([3]), tf.constant([1, 2]))
    found = ReplayMetaGradient(ensemble, optimizer)(unroll).gradient
    expected = AutodiffMetaGradient(ensemble, optimizer)(unroll).gradient
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("members", "weights", "line"),
    [
        ([], None, "members=.*at least one"),
        ([SGD(0.1)], None, "members=SGD: must be of type Optimizee"),
        ([Simple()], [1.0, 2.0], "weights=.*must be 1 numbers above 0"),
        ([Simple()], [0.0], "weights=.*above 0"),
    ],
)
def test_wrong_members_or_weights_are_refused(members: list, weights: list | None, line: str) -> None:
    with pytest.raises(InputError, match=line):
        Ensemble(members, weights)
