"""The meta-gradient: replay against automatic differentiation, and that against finite differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from l2l_tf import seeds
from l2l_tf.errors import InputError
from l2l_tf.meta import adjoint
from l2l_tf.meta.adjoint import AdjointMetaGradient, at_most, norms
from l2l_tf.meta.autodiff import AutodiffMetaGradient
from l2l_tf.meta.base import Unroll
from l2l_tf.meta.methods import scheduled
from l2l_tf.meta.replay import ReplayMetaGradient
from l2l_tf.meta.schedule import SMALL, Replay, Schedule
from l2l_tf.optimizees import Optimizee, Parameters
from l2l_tf.optimizees.base import batch_loss_and_gradients
from l2l_tf.optimizers import (
    Adam,
    CoordinatewiseLSTM,
    CoordinatewiseOptimizer,
    Group,
    Identity,
    LogAndSign,
    OddLSTM,
    ParameterGroups,
    everything,
)
from l2l_tf.serialization.trained import variable_names
from l2l_tf.unroll import Optimization, rollout, start

STEPS = 3
FIRST = tf.constant(0)
SAMPLE = tf.constant([1, 2])
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


class Quadratic(Optimizee):
    """‖Wθ − y‖² in any precision."""

    def __init__(self, dtype: str):
        self.dtype = dtype

    def init(self, seed: tf.Tensor) -> Parameters:
        return {"x": tf.random.stateless_normal([6], seed, dtype=self.dtype)}

    def problem(self, seed: tf.Tensor) -> Any:
        return tf.random.stateless_normal([6, 7], seed, dtype=self.dtype)

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        del seed
        return tf.reduce_sum((tf.linalg.matvec(problem[:, :6], params["x"]) - problem[:, 6]) ** 2)


class Net(Optimizee):
    """A classifier of random 4×4 images in any precision: convolution and batch norm if `convolution`, then an MLP."""

    vectorize = False

    def __init__(self, dtype: str, convolution: bool = False):
        self.dtype = dtype
        self.shapes = {"conv/w": [3, 3, 1, 2], "norm/scale": [2], "norm/offset": [2]} if convolution else {}
        self.shapes |= {"linear_0/w": [32 if convolution else 16, 6], "linear_0/b": [6], "linear_1/w": [6, 3]}
        self.images = tf.random.stateless_normal([20, 4, 4, 1], [1, 2], dtype=dtype)
        self.labels = tf.random.stateless_uniform([20], [3, 4], 0, 3, tf.int32)

    def init(self, seed: tf.Tensor) -> Parameters:
        return {
            name: 0.3 * tf.random.stateless_normal(shape, seed + tf.constant([0, index]), dtype=self.dtype)
            for index, (name, shape) in enumerate(self.shapes.items())
        }

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        del problem
        minibatch = tf.random.stateless_uniform([8], seed, 0, 20, tf.int32)
        x = tf.gather(self.images, minibatch)
        if "conv/w" in params:
            x = tf.nn.conv2d(x, params["conv/w"], 1, "SAME")
            mean, variance = tf.nn.moments(x, [0, 1, 2])
            scale = 1.0 + params["norm/scale"]
            x = tf.nn.relu(tf.nn.batch_normalization(x, mean, variance, params["norm/offset"], scale, 1e-5))
        x = tf.reshape(x, [8, -1])
        logits = tf.sigmoid(x @ params["linear_0/w"] + params["linear_0/b"]) @ params["linear_1/w"]
        labels = tf.gather(self.labels, minibatch)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def lstm(dtype: str, preprocessed: bool = True, layers: tuple[int, ...] = (4,), **arguments: Any) -> CoordinatewiseLSTM:
    preprocessing = LogAndSign(p=5.0) if preprocessed else Identity()
    return CoordinatewiseLSTM(layers, preprocessing, output_scale=0.3, dtype=dtype, **arguments)


def two_lstms(dtype: str) -> ParameterGroups:
    second = lstm(dtype, preprocessed=False, seed=1)
    return ParameterGroups([Group(lstm(dtype), ["conv/*", "norm/*"]), Group(second, ["linear_*"])])


def odd_lstm(dtype: str) -> OddLSTM:
    return OddLSTM((4,), LogAndSign(p=5.0), output_scale=0.3, dtype=dtype)


def lstm_and_adam(dtype: str) -> ParameterGroups:
    return ParameterGroups([Group(lstm(dtype), ["*/w"]), Group(Adam(0.1), ["*/b"])])


Make = Callable[[str], Any]
# What is optimized, by what, with which w_t, how many problems at once, and whether from a carried state.
CASES: dict[str, tuple[Make, Make, list[float], int, bool]] = {
    "quadratics": (Quadratic, lambda dtype: lstm(dtype, False, (4, 3)), [1.0] * STEPS, 3, False),
    "preprocessing": (Quadratic, lambda dtype: lstm(dtype, True), [1.0] * STEPS, 1, False),
    "linear": (Quadratic, lambda dtype: lstm(dtype, True, ()), [1.0] * STEPS, 1, False),
    "mlp, uneven weights": (Net, lambda dtype: lstm(dtype, True, (4, 3)), [0.0, 2.0, 0.5], 2, False),
    "mlp, second unroll": (Net, lambda dtype: lstm(dtype, True), [1.0] * STEPS, 1, True),
    "conv net, two lstms": (lambda dtype: Net(dtype, True), two_lstms, [1.0] * STEPS, 1, False),
    "mlp, odd lstm": (Net, odd_lstm, [1.0] * STEPS, 1, True),
    "mlp, lstm and adam": (Net, lstm_and_adam, [0.0, 0.0, 1.0], 1, True),
}


def begin(optimizee: Optimizee, optimizer: ParameterGroups, problems: int = 1) -> Optimization:
    return start(optimizee, optimizer, seeds.problem_keys(0, "train", range(problems)))


def replayed(
    optimizee: Optimizee,
    optimizer: ParameterGroups,
    first: Optimization,
    weights: tf.Tensor,
    step: tf.Tensor = FIRST,
    replay: Replay | None = None,
    keep_states: bool = False,
) -> tuple[tf.Tensor, ...]:
    method = ReplayMetaGradient(optimizee, optimizer, replay=replay)

    @tf.function(autograph=False)
    def compute(first: Optimization, step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        steps = weights.shape[0]
        trajectory = rollout(optimizee, optimizer, first, step, steps, record=True, keep_states=keep_states)
        return method.replayed(first.state, trajectory, weights, SAMPLE)

    return compute(first, step)


def differentiated(
    optimizee: Optimizee,
    optimizer: ParameterGroups,
    first: Optimization,
    weights: tf.Tensor,
    step: tf.Tensor = FIRST,
    second_derivatives: bool = False,
) -> tuple[tf.Tensor, ...]:
    """The reference."""
    method = AutodiffMetaGradient(optimizee, optimizer, second_derivatives=second_derivatives)
    return method(Unroll(first, step, weights, SAMPLE)).gradient


def relative_errors(found: tuple[tf.Tensor, ...], expected: tuple[tf.Tensor, ...]) -> list[float]:
    return [float(tf.norm(a - b) / (tf.norm(b) or 1.0)) for a, b in zip(found, expected, strict=True)]


@pytest.mark.parametrize(
    ("case", "dtype"),
    [*((case, "float64") for case in CASES), ("quadratics", "float32"), ("conv net, two lstms", "float32")],
)
def test_exact_replay_equals_automatic_differentiation(case: str, dtype: str) -> None:
    make_optimizee, make_optimizer, w, problems, carried = CASES[case]
    optimizee, optimizer = make_optimizee(dtype), everything(make_optimizer(dtype))
    weights = tf.constant(w, dtype)
    first, step = begin(optimizee, optimizer, problems), FIRST
    if carried:
        uncompiled = ParameterGroups(optimizer.groups, compile=False)
        first, step = rollout(optimizee, uncompiled, first, step, STEPS, record=False).end, tf.constant(STEPS)
    expected = differentiated(optimizee, optimizer, first, weights, step)
    zero = [name for name, part in zip(variable_names(optimizer), expected, strict=True) if float(tf.norm(part)) == 0]
    assert zero == (["0/b_output"] if case == "mlp, odd lstm" else [])  # where the bias cancels out
    for keep_states in (True, False)[: 1 if dtype == "float32" else 2]:  # XLA compiles each for seconds
        found = replayed(optimizee, optimizer, first, weights, step, keep_states=keep_states)
        assert max(relative_errors(found, expected)) < TOLERANCE[dtype]


@pytest.mark.parametrize("case", CASES)
def test_the_adjoint_equals_automatic_differentiation_with_second_derivatives(case: str) -> None:
    make_optimizee, make_optimizer, w, problems, carried = CASES[case]
    optimizee, optimizer = make_optimizee("float64"), everything(make_optimizer("float64"))
    weights = tf.constant(w, tf.float64)
    first, step = begin(optimizee, optimizer, problems), FIRST
    if carried:
        uncompiled = ParameterGroups(optimizer.groups, compile=False)
        first, step = rollout(optimizee, uncompiled, first, step, STEPS, record=False).end, tf.constant(STEPS)
    expected = differentiated(optimizee, optimizer, first, weights, step, second_derivatives=True)
    method = AdjointMetaGradient(optimizee, optimizer)

    @tf.function(autograph=False)
    def compute(first: Optimization, step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return method(Unroll(first, step, weights, SAMPLE)).gradient

    assert max(relative_errors(compute(first, step), expected)) < TOLERANCE["float64"]


def test_the_limit_leads_from_the_papers_assumption_to_the_exact_adjoint() -> None:
    optimizee, optimizer = Net("float64"), everything(odd_lstm("float64"))
    first, weights = begin(optimizee, optimizer, 2), tf.ones([STEPS], tf.float64)
    expected = {
        whole: differentiated(optimizee, optimizer, first, weights, second_derivatives=whole) for whole in (False, True)
    }
    found = {}
    for limit in (0.0, 1e-3, 1e9):
        method = AdjointMetaGradient(optimizee, optimizer, limit=limit)
        found[limit] = method(Unroll(first, FIRST, weights, SAMPLE)).gradient
    assert max(relative_errors(found[0.0], expected[False])) < TOLERANCE["float64"]
    assert max(relative_errors(found[1e9], expected[True])) < TOLERANCE["float64"]
    assert 0 < max(relative_errors(found[1e-3], expected[False])) < 0.1


@given(st.integers(0, 2**31 - 1), st.floats(0.0, 10.0))
def test_the_limit_holds_for_each_problem_and_leaves_what_is_below_it(seed: int, limit: float) -> None:
    generator = np.random.default_rng(seed)
    params = {"w": tf.constant(generator.normal(size=[3, 2, 4])), "b": tf.constant(generator.normal(size=[3, 5]))}
    before, limits = norms(params), tf.constant([0.0, limit, 100.0], tf.float64)
    after = norms(at_most(params, limits))
    np.testing.assert_allclose(after, np.minimum(before, limits), rtol=1e-12, atol=1e-12)


def test_replay_leaves_out_the_second_derivatives() -> None:
    optimizee, optimizer = Quadratic("float64"), everything(lstm("float64", False))
    first, weights = begin(optimizee, optimizer), tf.ones([STEPS], tf.float64)
    whole = differentiated(optimizee, optimizer, first, weights, second_derivatives=True)
    without = differentiated(optimizee, optimizer, first, weights)
    assert min(relative_errors(whole, without)) > 1e-3


@pytest.mark.parametrize("second_derivatives", [False, True])
def test_weights_of_inverse_loss_give_the_meta_gradient_of_the_log_loss(second_derivatives: bool) -> None:
    optimizee, optimizer = Quadratic("float64"), everything(lstm("float64", False))
    first = begin(optimizee, optimizer, 2)
    with tf.GradientTape() as tape:
        params, state = first.params, first.state
        mean_losses = []
        for t in range(STEPS + 1):
            minibatch = seeds.stateless_seed(first.keys[:, seeds.MINIBATCH], t)
            losses, gradients = batch_loss_and_gradients(optimizee, params, first.problem, minibatch)
            mean_losses.append(tf.reduce_mean(losses))
            if not second_derivatives:
                gradients = tf.nest.map_structure(tf.stop_gradient, gradients)
            updates, state = ParameterGroups(optimizer.groups, compile=False).update(gradients, state)
            params = {name: params[name] + updates[name] for name in params}
        log_loss = STEPS * tf.math.log(tf.add_n(mean_losses[1:]) / STEPS + SMALL)
    expected = tape.gradient(log_loss, optimizer.trainable_variables)

    schedule = Schedule(STEPS, STEPS, weights="inverse_loss", second_derivatives=second_derivatives)
    unroll = Unroll(first, FIRST, tf.constant(schedule.step_weights(), tf.float64), SAMPLE)
    _, found, _ = tf.function(scheduled(optimizee, optimizer, schedule), autograph=False)(unroll)
    assert max(relative_errors(found, expected)) < TOLERANCE["float64"]


def meta_loss_under_fixed_gradients(
    optimizee: Optimizee, optimizer: ParameterGroups, first: Optimization, gradients: Parameters
) -> float:
    """L(φ) with the ∇_t given: θ_{t+1} = θ_t + m(∇_t, h_t, φ), all w_t = 1."""
    (keys, problem, params, state), total = first, 0.0
    for t in range(STEPS):
        updates, state = optimizer.update({name: recorded[t] for name, recorded in gradients.items()}, state)
        params = {name: params[name] + updates[name] for name in params}
        minibatch = seeds.stateless_seed(keys[:, seeds.MINIBATCH], t + 1)
        one = {name: tensor[0] for name, tensor in params.items()}
        total += float(optimizee.loss(one, tf.nest.map_structure(lambda x: x[0], problem), minibatch[0]))
    return total


@pytest.mark.parametrize("make_optimizee", [Quadratic, Net])
@pytest.mark.parametrize("second_derivatives", [True, False])
def test_automatic_differentiation_equals_finite_differences(make_optimizee: Make, second_derivatives: bool) -> None:
    optimizee = make_optimizee("float64")
    optimizer = ParameterGroups([Group(lstm("float64", preprocessed=False))], compile=False)
    first, weights = begin(optimizee, optimizer), tf.ones([STEPS], tf.float64)
    fixed = rollout(optimizee, optimizer, first, FIRST, STEPS, record=True).gradients
    gradient = differentiated(optimizee, optimizer, first, weights, second_derivatives=second_derivatives)

    def meta_loss() -> float:
        if second_derivatives:
            return float(tf.reduce_sum(rollout(optimizee, optimizer, first, FIRST, STEPS, record=False).losses[1:]))
        return meta_loss_under_fixed_gradients(optimizee, optimizer, first, fixed)

    generator = np.random.default_rng(0)
    for variable, expected in zip(optimizer.trainable_variables, gradient, strict=True):
        value, direction = variable.numpy(), generator.normal(size=variable.shape)
        losses = []
        for sign in (1, -1):
            variable.assign(value + sign * 1e-6 * direction)
            losses.append(meta_loss())
        variable.assign(value)
        slope = float(tf.reduce_sum(expected * direction))
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(slope, rel=1e-5, abs=1e-8), variable.name


@pytest.mark.parametrize(
    ("optimizer_block", "replay_block", "keep_states"),
    [(4096, 30, False), (30, 2048, False), (30, 2048, True), (40, 17, False)],
)
def test_block_sizes_do_not_matter(optimizer_block: int, replay_block: int, keep_states: bool) -> None:
    optimizee, weights = Net("float64"), tf.ones([STEPS], tf.float64)
    in_one, in_blocks = everything(lstm("float64")), everything(lstm("float64", block_size=optimizer_block))
    expected = differentiated(optimizee, in_one, begin(optimizee, in_one), weights)
    replay = Replay(block_size=replay_block)
    found = replayed(optimizee, in_blocks, begin(optimizee, in_blocks), weights, replay=replay, keep_states=keep_states)
    assert max(relative_errors(found, expected)) < TOLERANCE["float64"]


def test_the_same_inputs_give_the_same_bits() -> None:
    optimizee, optimizer = Net("float32"), everything(lstm("float32", block_size=40))
    first, weights = begin(optimizee, optimizer), tf.ones([STEPS])
    method = ReplayMetaGradient(optimizee, optimizer, replay=Replay(block_size=20, fraction=0.5, whole_below=20))

    @tf.function(autograph=False)
    def compute() -> tuple[tf.Tensor, ...]:
        return method(Unroll(first, FIRST, weights, SAMPLE)).gradient

    expected = compute()
    for _ in range(20):
        for one, other in zip(compute(), expected, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize(("fraction", "steps", "keeps"), [(1.0, STEPS, True), (0.5, STEPS, False), (1.0, 10**6, False)])
def test_states_are_kept_for_an_exact_replay_if_they_are_few(fraction: float, steps: int, keeps: bool) -> None:
    optimizee, optimizer = Net("float32"), everything(lstm("float32"))
    method = ReplayMetaGradient(optimizee, optimizer, replay=Replay(fraction=fraction))
    assert method.keeps_states(begin(optimizee, optimizer), steps) == keeps


class Plain(snt.Module, CoordinatewiseOptimizer):
    """A learned optimizer without state, g = −exp(a)∇: the smallest that the protocol allows."""

    def __init__(self) -> None:
        super().__init__(name="plain")
        self.log_rate = tf.Variable(-2.0)

    def init(self, coordinates: tf.Tensor) -> tuple[()]:
        del coordinates
        return ()

    def update(self, gradients: tf.Tensor, state: tuple[()]) -> tuple[tf.Tensor, tuple[()]]:
        return -tf.exp(self.log_rate) * gradients, state


def test_an_optimizer_without_state_can_be_replayed() -> None:
    optimizee, optimizer, weights = Quadratic("float32"), everything(Plain()), tf.ones([STEPS])
    first = begin(optimizee, optimizer)
    expected = differentiated(optimizee, optimizer, first, weights)
    found = replayed(optimizee, optimizer, first, weights, replay=Replay(block_size=2))
    assert max(relative_errors(found, expected)) < TOLERANCE["float32"]


class Counting(snt.Module, CoordinatewiseOptimizer):
    """A learned optimizer with a step count t, a total of what it made of t, and momentum: g = −exp(a) m / (1 + c).

    m ← m + t ∇, c ← c + exp(b) t. Neither t, an integer, nor c, which φ has a share in, has coordinates.
    """

    block_size = 4

    def __init__(self, dtype: str) -> None:
        super().__init__(name="counting")
        self.log_rate, self.log_decay = (tf.Variable(tf.constant(value, dtype)) for value in (-4.0, -2.0))

    def init(self, coordinates: tf.Tensor) -> dict[str, tf.Tensor]:
        dtype = self.log_rate.dtype
        zero = {"count": tf.zeros([], tf.int32), "total": tf.zeros([1], dtype)}
        return zero | {"momentum": tf.zeros([2, tf.size(coordinates)], dtype)}

    def update(self, gradients: tf.Tensor, state: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        count = state["count"] + 1
        time = tf.cast(count, gradients.dtype)
        total = state["total"] + tf.exp(self.log_decay) * time
        momentum = state["momentum"] + time * gradients
        new_state = {"count": count, "total": total, "momentum": momentum}
        return -tf.exp(self.log_rate) * momentum[0] / (1.0 + total), new_state


@pytest.mark.parametrize("keep_states", [True, False])
def test_a_state_without_coordinates_is_replayed_exactly_and_differentiated_twice(keep_states: bool) -> None:
    optimizee, optimizer = Net("float64"), everything(Counting("float64"))
    first, weights = begin(optimizee, optimizer, 2), tf.ones([STEPS], tf.float64)
    replay = Replay(block_size=30)
    found = replayed(optimizee, optimizer, first, weights, replay=replay, keep_states=keep_states)
    expected = differentiated(optimizee, optimizer, first, weights)
    assert min(float(tf.norm(part)) for part in expected) > 0
    assert max(relative_errors(found, expected)) < TOLERANCE["float64"]
    if keep_states:
        found = AdjointMetaGradient(optimizee, optimizer)(Unroll(first, FIRST, weights, SAMPLE)).gradient
        expected = differentiated(optimizee, optimizer, first, weights, second_derivatives=True)
        assert max(relative_errors(found, expected)) < TOLERANCE["float64"]


def test_a_state_without_coordinates_is_sampled() -> None:
    optimizee, optimizer = Net("float64"), everything(Counting("float64"))
    first, weights = begin(optimizee, optimizer), tf.ones([STEPS], tf.float64)
    exact = replayed(optimizee, optimizer, first, weights)
    method = ReplayMetaGradient(optimizee, optimizer, replay=Replay(fraction=0.5, whole_below=1))
    sampled = tf.function(lambda seed: method(Unroll(first, FIRST, weights, seed)).gradient, autograph=False)
    draws = [sampled(tf.constant([7, k])) for k in range(200)]
    for part, parts in zip(exact, zip(*draws, strict=True), strict=True):
        error = np.std(parts) / len(parts) ** 0.5
        assert 0 < error < 0.1 * abs(part)
        assert abs(np.mean(parts) - part) < 5 * error


def test_second_derivatives_refuse_more_states_than_they_can_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    optimizee, optimizer = Quadratic("float64"), everything(lstm("float64", False))
    first = begin(optimizee, optimizer, 2)
    numbers = STEPS * 2 * 6 * 2 * 4  # of steps, problems, coordinates, h and c, units
    monkeypatch.setattr(adjoint, "KEPT_STATES", numbers - 1)
    method = AdjointMetaGradient(optimizee, optimizer)
    with pytest.raises(InputError, match="second_derivatives=True: would keep the states of 3 steps"):
        method(Unroll(first, FIRST, tf.ones([STEPS], tf.float64), SAMPLE))
