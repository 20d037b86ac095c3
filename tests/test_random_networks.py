"""The training distribution of `general`: every kind of network is an optimizee, each problem another one."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import seeds
from l2l_tf.data import Images
from l2l_tf.errors import InputError
from l2l_tf.optimizees.base import batch_loss_and_gradients
from l2l_tf.optimizees.random_networks import KINDS, RandomNetworks
from l2l_tf.optimizers import Adam, everything
from l2l_tf.unroll import rollout, start


def images(count: int) -> Images:
    generator = np.random.default_rng(count)
    pixels = generator.integers(256, size=[count, 1, 1, 196]).astype(np.uint8)
    return Images(pixels, generator.integers(10, size=count).astype(np.int32))


DATA = images(300), images(200)


@pytest.mark.parametrize("kind", KINDS)
def test_adam_makes_every_kind_better(kind: str) -> None:
    optimizee = RandomNetworks(DATA, [kind])
    optimizer = everything(Adam(3e-3))
    keys = seeds.problem_keys(0, "test", [1])

    @tf.function(autograph=False)
    def losses(keys: tf.Tensor) -> tf.Tensor:
        return rollout(optimizee, optimizer, start(optimizee, optimizer, keys), tf.constant(0), 60, record=False).losses

    curve = losses(keys).numpy()[:, 0]
    assert np.isfinite(curve).all()
    assert curve[-10:].mean() < curve[:3].mean()


def test_problems_differ_and_repeat_and_leave_the_rest_of_theta_alone() -> None:
    optimizee = RandomNetworks(DATA, ["recurrent", "table"])
    keys = seeds.problem_keys(0, "test", range(8))
    problems = [optimizee.problem(seeds.stateless_seed(key[seeds.PROBLEM], 0)) for key in keys]
    kinds = [int(problem["kind"]) for problem in problems]
    assert set(kinds) == {0, 1}
    assert len({float(p["gain"]) for p in problems}) == 8
    again = optimizee.problem(seeds.stateless_seed(keys[0][seeds.PROBLEM], 0))
    tf.nest.map_structure(np.testing.assert_array_equal, problems[0], again)
    recurrent = problems[kinds.index(0)]
    batched = tf.nest.map_structure(lambda tensor: tensor[tf.newaxis], (optimizee.init(keys[0, :2]), recurrent))
    params, problem = batched
    _, gradients = batch_loss_and_gradients(optimizee, params, problem, keys[:1, :2])
    gradient, size = gradients["theta"].numpy()[0], sum(KINDS["recurrent"].sizes)
    assert np.any(gradient[:size])
    assert not np.any(gradient[size:])


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="kinds=quantum"):
        RandomNetworks(DATA, ["quantum"])
