"""The schedule: its checks, its weights, rates and lengths."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2l_tf.errors import InputError
from l2l_tf.meta import Replay, Schedule, Validation

UNKNOWN: Any = "unknown"
FIVE: Any = 5


@pytest.mark.parametrize("key", ["steps", "unroll", "epochs", "problems", "optimizations"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "many", True, None])
def test_sizes_are_integers_above_zero(key: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"{key}={value}: must be an integer of at least 1"):
        Schedule(**{key: value})


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: Schedule(steps=100, unroll=30), "steps=100: must be a multiple of unroll=30"),
        (lambda: Schedule(steps=10, unroll=20), "steps=10: must be a multiple"),
        (lambda: Schedule(shortest=30), "shortest=30: must be a multiple"),
        (lambda: Schedule(shortest=120), "shortest=120: must be a multiple"),
        (lambda: Schedule(shortest=0), "shortest=0"),
        (lambda: Schedule(learning_rate=0.0), "learning_rate=0.0"),
        (lambda: Schedule(learning_rate=float("nan")), "learning_rate=nan"),
        (lambda: Schedule(clip_norm=-1.0), "clip_norm=-1.0"),
        (lambda: Schedule(decay=UNKNOWN), "decay=unknown: must be one of cosine, none"),
        (lambda: Schedule(weights=UNKNOWN), "weights=unknown: must be one of all, final, inverse_loss"),
        (
            lambda: Schedule(weights=[1.0, 2.0]),
            "weights=[1.0, 2.0]: must be all, final, inverse_loss or a list of",
        ),
        (
            lambda: Schedule(weights=FIVE),
            "weights=5: must be all, final, inverse_loss or a list of",
        ),
        (lambda: Schedule(steps=1, unroll=1, weights=[float("nan")]), "weights.0=nan"),
        (lambda: Schedule(steps=1, unroll=1, weights=[-1.0]), "weights.0=-1.0"),
        (lambda: Schedule(optimizations=3, at_once=4), "at_once=4: must be at most optimizations=3"),
        (lambda: Schedule(at_once=0), "at_once=0"),
        (lambda: Validation(every=0), "every=0"),
        (lambda: Validation(problems=0), "problems=0"),
        (lambda: Validation(window=0), "window=0"),
        (lambda: Validation(patience=0), "patience=0"),
        (lambda: Schedule(validation=Validation(window=101)), "window=101: must be at most"),
        (lambda: Replay(block_size=0), "block_size=0"),
        (lambda: Replay(fraction=0.0), "fraction=0.0"),
        (lambda: Replay(fraction=1.5), "fraction=1.5"),
        (lambda: Replay(whole_below=-1), "whole_below=-1"),
    ],
)
def test_an_impossible_schedule_is_refused(make: Any, line: str) -> None:
    with pytest.raises(InputError, match=re.escape(line)):
        make()


def test_the_defaults_are_the_papers() -> None:
    schedule = Schedule()
    assert (schedule.steps, schedule.unroll, schedule.optimizations, schedule.decay) == (100, 20, 1, "none")
    assert schedule.updates_per_epoch == 5
    assert schedule.updates == 5 * schedule.epochs
    assert schedule.clip_norm is None
    assert not schedule.second_derivatives
    assert schedule.replay.fraction == 1.0


def test_the_weights_are_all_ones_or_the_last_one_or_a_list() -> None:
    assert Schedule(steps=4, unroll=2).step_weights().tolist() == [1, 1, 1, 1]
    assert Schedule(steps=4, unroll=2, weights="final").step_weights().tolist() == [0, 0, 0, 1]
    assert Schedule(steps=4, unroll=2, weights="inverse_loss").step_weights().tolist() == [1, 1, 1, 1]
    assert Schedule(steps=4, unroll=2, weights=[0, 0.5, 1, 2]).step_weights().tolist() == [0, 0.5, 1, 2]


def test_the_rate_is_constant_or_falls_along_a_cosine_to_zero() -> None:
    assert {Schedule(learning_rate=0.01).rate(update) for update in range(5000)} == {0.01}
    cosine = Schedule(learning_rate=0.01, decay="cosine", epochs=10)
    rates = [cosine.rate(update) for update in range(cosine.updates + 1)]
    assert rates[0] == 0.01
    assert rates[cosine.updates // 2] == pytest.approx(0.005)
    assert rates[-1] == pytest.approx(0.0)
    assert rates == sorted(rates, reverse=True)


def test_optimizations_advance_all_or_in_turns() -> None:
    assert [Schedule(optimizations=3).turn(update) for update in (0, 1, 7)] == [[0, 1, 2]] * 3
    pairs = [Schedule(optimizations=3, at_once=2).turn(update) for update in range(4)]
    assert pairs == [
        [0, 1],
        [2, 0],
        [1, 2],
        [0, 1],
    ]


@given(st.integers(1, 20), st.integers(1, 30), st.integers(1, 30), st.integers(0, 1000))
def test_drawn_lengths_are_multiples_of_the_unroll_from_the_shortest_to_all_steps(
    unroll: int, a: int, b: int, seed: int
) -> None:
    shortest, steps = sorted((a * unroll, b * unroll))
    schedule = Schedule(steps=steps, unroll=unroll, shortest=shortest)
    length = schedule.length(np.random.default_rng(seed))
    assert shortest <= length <= steps
    assert length % unroll == 0


def test_short_and_long_lengths_are_both_drawn_and_short_ones_more_often() -> None:
    schedule = Schedule(steps=1000, unroll=20, shortest=20)
    generator = np.random.default_rng(0)
    lengths = [schedule.length(generator) for _ in range(2000)]
    assert min(lengths) == 20
    assert max(lengths) == 1000
    assert np.median(lengths) == pytest.approx((20 * 1000) ** 0.5, rel=0.25)  # log-uniform: the geometric mean


def test_without_a_shortest_every_length_is_all_steps() -> None:
    assert {Schedule().length(np.random.default_rng(seed)) for seed in range(10)} == {100}
