"""Samples of coordinates, blocks of them, and no retracing."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from l2l_tf import seeds
from l2l_tf.meta.replay import WORTH_A_CORE, ReplayMetaGradient, balanced, coordinate_strata, sample
from l2l_tf.meta.schedule import Replay, Schedule, Validation
from l2l_tf.meta.trainer import Trainer
from l2l_tf.optimizees import Optimizee, Parameters, Quadratic
from l2l_tf.optimizers import CoordinatewiseLSTM, everything
from l2l_tf.unroll import rollout, start

DRAWS = 1200


class Wide(Optimizee):
    """f = Σ tanh²(w_i a_i) + Σ tanh²(b_i): a tensor large enough to be sampled, and a small one."""

    def init(self, seed: tf.Tensor) -> Parameters:
        return {"w": tf.random.stateless_normal([600], seed), "b": tf.random.stateless_normal([8], seed)}

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        del problem, seed
        scaled = params["w"] * tf.linspace(0.1, 2.0, 600)
        return tf.reduce_sum(tf.tanh(scaled) ** 2) + tf.reduce_sum(tf.tanh(params["b"]) ** 2)


def gradients_of_draws(replay: Replay, draws: int, problems: int = 1) -> list[np.ndarray]:
    """Meta-gradients [draws, size of φ] of the same rollout, one for each seed of the sample."""
    optimizee, optimizer = Wide(), everything(CoordinatewiseLSTM((4,)))
    begin = start(optimizee, optimizer, seeds.problem_keys(0, "train", range(problems)))
    trajectory = rollout(optimizee, optimizer, begin, tf.constant(0), 3, record=True)
    method = ReplayMetaGradient(optimizee, optimizer, replay=replay)

    @tf.function(autograph=False)
    def compute(seed: tf.Tensor) -> tf.Tensor:
        gradient = method.replayed(begin.state, trajectory, tf.ones([3]), seed)
        return tf.concat([tf.reshape(part, [-1]) for part in gradient], axis=0)

    return [compute(tf.constant([7, k])).numpy() for k in range(draws)]


def test_the_sampled_meta_gradients_mean_is_the_exact_one() -> None:
    problems = 2
    exact = gradients_of_draws(Replay(), 1, problems)[0]
    draws = np.array(gradients_of_draws(Replay(fraction=0.25, whole_below=64), DRAWS, problems))
    assert np.std(draws, axis=0).max() > 0
    along = draws @ exact / (exact @ exact)  # 1 in the mean, if unbiased
    error = along.std() / DRAWS**0.5
    assert 5 * error < 0.05  # a factor of 1.1 would be seen
    assert abs(along.mean() - 1) < 5 * error
    errors = draws.std(axis=0) / DRAWS**0.5
    assert np.all(np.abs(draws.mean(axis=0) - exact) < 5 * errors + 1e-5 * np.abs(exact).max())


def test_tensors_below_the_limit_are_whole() -> None:
    exact = gradients_of_draws(Replay(), 1)[0]
    kept = gradients_of_draws(Replay(fraction=0.1, whole_below=601), 1)[0]
    np.testing.assert_array_equal(kept, exact)
    strata = coordinate_strata([600, 8], [False, True], 0.1)
    assert list(strata[-8:]) == list(range(600, 608))
    assert len(strata) == 68


@given(
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    fraction=st.floats(0.01, 1.0),
    data=st.data(),
)
def test_strata_cut_every_tensor_evenly(sizes: list[int], fraction: float, data: st.DataObject) -> None:
    whole = data.draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    strata = coordinate_strata(sizes, whole, fraction)
    lengths = np.diff(np.append(strata, sum(sizes)))
    assert strata[0] == 0
    assert lengths.min() >= 1
    assert set(np.cumsum([0, *sizes[:-1]])) <= set(strata)  # no stratum crosses from one tensor into the next
    for first, size, keep in zip(np.cumsum([0, *sizes[:-1]]), sizes, whole, strict=True):
        inside = lengths[(strata >= first) & (strata < first + size)]
        assert len(inside) == (size if keep else max(1, round(size * fraction)))
        assert inside.max() - inside.min() <= 1


def test_one_coordinate_of_each_stratum_is_drawn_uniformly() -> None:
    strata, lengths = np.array([0, 1, 5]), np.array([1, 4, 10])
    draws = np.array([sample(strata, lengths, tf.constant([1, k])).numpy() for k in range(500)])
    assert np.all(draws >= strata)
    assert np.all(draws < strata + lengths)
    assert set(draws[:, 1]) == set(range(1, 5))
    assert abs(draws[:, 2].mean() - 9.5) < 5 * 2.9 / 500**0.5


@given(count=st.integers(1, 100_000), block_size=st.integers(1, 3000), cores=st.integers(1, 64))
def test_blocks_give_every_core_a_share_and_stay_below_the_limit(count: int, block_size: int, cores: int) -> None:
    size = balanced(count, block_size, cores)
    blocks = -(-count // size)
    assert 1 <= size <= block_size
    assert blocks == 1 or size * (blocks + 1) >= count
    assert count < 4 or blocks > 1
    assert size >= min(WORTH_A_CORE, block_size) // 2 or blocks <= 2
    if count >= cores * WORTH_A_CORE:
        assert blocks >= 0.8 * cores


class Counting(Quadratic):
    """A quadratic that counts how often its loss is traced."""

    traces = 0

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        Counting.traces += 1
        return super().loss(params, problem, seed)


def test_training_traces_nothing_after_its_first_round(tmp_path: Path) -> None:
    schedule = Schedule(
        steps=6,
        unroll=2,
        epochs=6,
        problems=2,
        optimizations=2,
        shortest=2,
        replay=Replay(fraction=0.5, whole_below=1),
        validation=Validation(every=2, problems=5, window=1),
    )
    traces: list[int] = []
    optimizee = Counting(dimension=4)
    trainer = Trainer(
        optimizee,
        optimizee,
        CoordinatewiseLSTM((4,)),
        schedule,
        seed=0,
        folder=tmp_path,
        on_round=lambda checkpoint: traces.append(Counting.traces),
    )
    trainer.train()
    assert len(traces) == 3
    assert traces[0] > 0
    assert traces[0] == traces[-1]
