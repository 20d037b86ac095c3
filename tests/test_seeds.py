"""From one seed to every random number: the same name, the same numbers; another name, others."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from l2l_tf import seeds
from l2l_tf.errors import InputError

any_seed = st.integers(0, 2**40)
streams = st.sampled_from(["train", "validation", "test"])


@given(any_seed, streams, st.integers(0, 10**6))
def test_a_name_always_means_the_same_numbers(seed: int, stream: str, index: int) -> None:
    one, other = (seeds.generator(seed, stream, index).normal(size=3) for _ in range(2))
    np.testing.assert_array_equal(one, other)


@given(any_seed, streams, st.lists(st.integers(0, 10**6), min_size=1, max_size=5))
def test_a_problems_keys_do_not_depend_on_the_problems_beside_it(seed: int, stream: str, indices: list[int]) -> None:
    together = seeds.problem_keys(seed, stream, indices).numpy()
    alone = [seeds.problem_keys(seed, stream, [index]).numpy()[0] for index in indices]
    assert together.dtype == np.int32
    np.testing.assert_array_equal(together, alone)


def test_every_seed_stream_index_and_purpose_has_a_key_of_its_own() -> None:
    keys = [
        int(key)
        for seed in (0, 1, 2**32)
        for stream in ("train", "validation", "test")
        for key in seeds.problem_keys(seed, stream, range(100))[:, : seeds.NUMBER].numpy().ravel()
    ]
    assert len(set(keys)) == len(keys) == 2700


@pytest.mark.parametrize("seed", [-1, 1.5, "zero", None])
def test_a_seed_that_is_no_natural_number_is_refused(seed: Any) -> None:
    with pytest.raises(InputError, match=f"seed={seed}: must be an integer of at least 0"):
        seeds.problem_keys(seed, "test", [0])


def test_no_problems_have_no_keys() -> None:
    assert seeds.problem_keys(0, "test", []).shape == [0, 4]


def test_a_problem_knows_its_number() -> None:
    np.testing.assert_array_equal(seeds.problem_keys(3, "test", [4, 0, 17])[:, seeds.NUMBER], [4, 0, 17])


def test_keys_are_spread_over_all_of_int32() -> None:
    keys = seeds.problem_keys(0, "test", range(1000))[:, : seeds.NUMBER].numpy().astype(np.float64)
    assert abs(keys.mean()) < 0.1 * 2**31
    assert keys.std() == pytest.approx(2**32 / 12**0.5, rel=0.05)


def test_stateless_seeds_are_key_and_counter_side_by_side() -> None:
    keys = tf.constant([5, -7])
    np.testing.assert_array_equal(seeds.stateless_seed(keys, 3), [[5, 3], [-7, 3]])
    np.testing.assert_array_equal(seeds.stateless_seed(keys[0], tf.constant(4)), [5, 4])
