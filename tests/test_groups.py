"""Parameter groups: which optimizer updates which parameter, and the way from named tensors to vectors and back."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from l2l_tf.errors import InputError
from l2l_tf.optimizees import Parameters
from l2l_tf.optimizers import (
    SGD,
    Adam,
    CoordinatewiseLSTM,
    CoordinatewiseOptimizer,
    Group,
    LogAndSign,
    Momentum,
    ParameterGroups,
    everything,
)

NAMES = ["conv_0/w", "conv_0/b", "linear_0/w", "linear_0/b"]
shapes = st.lists(st.lists(st.integers(1, 5), max_size=4), min_size=1, max_size=6)


def random_params(shapes_by_name: Mapping[str, Sequence[int]], seed: int = 0) -> Parameters:
    generator = np.random.default_rng(seed)
    return {
        name: tf.constant(generator.normal(size=shape).astype(np.float32)) for name, shape in shapes_by_name.items()
    }


def run(optimizer: ParameterGroups, steps: list[Parameters]) -> list[dict[str, np.ndarray]]:
    """The updates under a sequence of gradients."""
    state = optimizer.init(steps[0])
    updates = []
    for gradients in steps:
        update, state = optimizer.update(gradients, state)
        updates.append({name: tensor.numpy() for name, tensor in update.items()})
    return updates


def groups(*patterns: list[str]) -> ParameterGroups:
    return ParameterGroups([Group(SGD(0.1), pattern) for pattern in patterns])


# Assignment


def test_patterns_assign_parameters_sorted_by_name() -> None:
    assert groups(["conv_*/w"], ["*/b", "linear_*/w"]).assign(NAMES) == [
        ["conv_0/w"],
        ["conv_0/b", "linear_0/b", "linear_0/w"],
    ]


def test_the_order_of_the_names_does_not_matter() -> None:
    assert groups(["*"]).assign(NAMES) == groups(["*"]).assign(NAMES[::-1]) == [sorted(NAMES)]


def test_two_patterns_of_one_group_may_match_the_same_parameter() -> None:
    assert groups(["conv_0/w", "conv_*"], ["linear_*"]).assign(NAMES)[0] == ["conv_0/b", "conv_0/w"]


@pytest.mark.parametrize(
    ("patterns", "line"),
    [
        ([["*"], ["bn_*"]], "'bn_*' matches none of conv_0/b, conv_0/w, linear_0/b, linear_0/w"),
        ([["conv_*"]], "'linear_0/b' is in 0 groups, must be in 1"),
        ([["*"], ["conv_0/w"]], "'conv_0/w' is in 2 groups, must be in 1"),
    ],
)
def test_a_wrong_assignment_is_refused(patterns: list[list[str]], line: str) -> None:
    with pytest.raises(InputError, match=re.escape(line)):
        groups(*patterns).assign(NAMES)


def test_no_groups_at_all_are_refused() -> None:
    with pytest.raises(InputError, match="must be a list of 1 to 32 groups"):
        ParameterGroups([])


def test_groups_may_be_mappings_as_a_configuration_has_them() -> None:
    rates = {"x_0": 1.0, "x_1": 2.0}
    optimizer = ParameterGroups([{"parameters": [name], "optimizer": SGD(rate)} for name, rate in rates.items()])
    (update,) = run(optimizer, [{"x_0": tf.constant(1.0), "x_1": tf.constant(1.0)}])
    assert update == {"x_0": -1.0, "x_1": -2.0}


def test_everything_is_one_group_with_all_parameters() -> None:
    sgd = SGD(0.1)
    (group,) = everything(sgd).groups
    assert (group.optimizer, list(group.parameters)) == (sgd, ["*"])
    existing = groups(["*"])
    assert everything(existing) is existing


# From tensors to a vector and back


@given(shapes)
def test_parameters_become_a_vector_and_parameters_again(sizes: list[list[int]]) -> None:
    params = random_params({f"p_{i}": size for i, size in enumerate(sizes)})
    optimizer = groups(["*"])
    (vector,), (lengths,) = optimizer.vectors(params), optimizer.sizes(params)
    assert lengths == [int(np.prod(size)) for size in sizes]
    assert vector.shape == [sum(lengths)]
    back = optimizer.named([vector], params)
    assert list(back) == list(params)
    for name in params:
        np.testing.assert_array_equal(back[name], params[name])


def test_leading_axes_stay() -> None:
    params = random_params({"a": [2, 3, 4], "b": [2, 5]})
    first, second = groups(["b"], ["a"]).vectors(params, leading=1)
    np.testing.assert_array_equal(first, params["b"])
    np.testing.assert_array_equal(second, tf.reshape(params["a"], [2, 12]))
    assert groups(["b"], ["a"]).sizes(params, leading=1) == [[5], [12]]


@given(st.integers(1, 5000), st.one_of(st.none(), st.integers(1, 600)))
def test_blocks_are_nearly_equal_never_too_large_and_make_up_the_vector(count: int, block_size: int | None) -> None:
    vectors = tf.reshape(tf.range(2 * count), [2, count])
    blocks = Group(SGD(0.1)).split(vectors, block_size)
    sizes = [block.shape[-1] for block in blocks]
    assert max(sizes) <= (block_size or count)
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == (1 if block_size is None else -(-count // block_size))
    np.testing.assert_array_equal(tf.concat(blocks, axis=-1), vectors)


@given(st.integers(1, 40), st.data())
def test_a_state_is_cut_into_blocks_joined_and_taken_from(count: int, data: st.DataObject) -> None:
    sizes = [len(block) for block in np.array_split(np.empty(count), data.draw(st.integers(1, count)))]
    group = Group(Adam(0.1))  # whose step count has no coordinates
    state = {"m": tf.range(count), "v": tf.range(3 * count), "t": tf.constant(7.0)}
    state["v"] = tf.reshape(state["v"], [3, count])
    blocks = group.split_state(state, sizes)
    assert [block["v"].shape for block in blocks] == [[3, size] for size in sizes]
    joined = group.join(blocks)
    for name in state:
        np.testing.assert_array_equal(joined[name], state[name])
    coordinates = data.draw(st.lists(st.integers(0, count - 1), min_size=1))
    taken = group.take(state, coordinates)
    np.testing.assert_array_equal(taken["m"], coordinates)
    assert float(taken["t"]) == 7.0


# Updates


@given(shapes)
def test_updates_have_the_names_and_shapes_of_the_parameters(sizes: list[list[int]]) -> None:
    gradients = random_params({f"p_{i}": size for i, size in enumerate(sizes)})
    (update,) = run(everything(SGD(2.0)), [gradients])
    assert list(update) == list(gradients)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(update[name], -2.0 * gradient.numpy())


def test_each_group_does_what_its_optimizer_does_alone() -> None:
    steps = [random_params({"x_0": [], "x_1": []}, seed) for seed in range(20)]
    lstm = CoordinatewiseLSTM((5, 5), LogAndSign(), seed=1)
    together = run(ParameterGroups([Group(lstm, ["x_0"]), Group(Adam(0.1), ["x_1"])]), steps)
    alone: dict[str, CoordinatewiseOptimizer] = {"x_0": lstm, "x_1": Adam(0.1)}
    for name, optimizer in alone.items():
        expected = run(everything(optimizer), [{name: gradients[name]} for gradients in steps])
        for mine, its in zip(together, expected, strict=True):
            np.testing.assert_allclose(mine[name], its[name], rtol=1e-6)


@pytest.mark.parametrize("block_size", [1, 7, 16, 1000])
def test_the_block_size_changes_nothing(block_size: int) -> None:
    shape = {"a/w": [4, 5], "b/w": [3], "c": []}
    steps = [random_params(shape, seed) for seed in range(3)]
    whole, blocks = (CoordinatewiseLSTM((3,), seed=2, block_size=size) for size in (1000, block_size))
    ours = run(ParameterGroups([Group(blocks)], compile=False), steps)
    theirs = run(ParameterGroups([Group(whole)], compile=False), steps)
    for one, other in zip(ours, theirs, strict=True):
        for name in shape:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-5, atol=1e-6)


def test_compiling_changes_nothing_but_the_last_digits() -> None:
    steps = [random_params({"w": [6, 3]}, seed) for seed in range(10)]
    lstm = CoordinatewiseLSTM((4, 4), LogAndSign(), seed=3)
    compiled, plain = (run(ParameterGroups([Group(lstm)], compile=compile), steps) for compile in (True, False))
    for one, other in zip(compiled, plain, strict=True):
        np.testing.assert_allclose(one["w"], other["w"], rtol=1e-4, atol=1e-6)


def test_the_order_in_which_parameters_are_given_changes_nothing() -> None:
    steps = [random_params({"b": [2], "a": [3]}, seed) for seed in range(3)]
    turned = [dict(reversed(gradients.items())) for gradients in steps]
    for one, other in zip(run(everything(Momentum(0.1)), steps), run(everything(Momentum(0.1)), turned), strict=True):
        assert list(one) == ["b", "a"]
        assert list(other) == ["a", "b"]
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_the_trainable_variables_are_those_of_the_learned_optimizers() -> None:
    lstm = CoordinatewiseLSTM((4,))
    optimizer = ParameterGroups([Group(Adam(tf.Variable(0.1)), ["x"]), Group(lstm, ["y"])])
    assert [id(v) for v in optimizer.trainable_variables] == [id(v) for v in lstm.trainable_variables]
    assert everything(SGD(0.1)).trainable_variables == ()
