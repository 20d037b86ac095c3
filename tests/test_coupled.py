"""Optimizers whose coordinates see each other (appendix D)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from l2l_tf import seeds
from l2l_tf.errors import InputError
from l2l_tf.evaluation.bulk import rate_curves
from l2l_tf.evaluation.evaluate import evaluate
from l2l_tf.keras import LearnedOptimizer as KerasOptimizer
from l2l_tf.meta.adjoint import AdjointMetaGradient
from l2l_tf.meta.autodiff import AutodiffMetaGradient
from l2l_tf.meta.base import Unroll
from l2l_tf.meta.replay import ReplayMetaGradient
from l2l_tf.meta.schedule import Replay
from l2l_tf.optimizees import IllConditioned, Optimizee, Parameters
from l2l_tf.optimizers import (
    BFGS,
    LBFGS,
    LSTMGAC,
    NTMBFGS,
    NTMLBFGS,
    SGD,
    CoordinatewiseLSTM,
    CoupledOptimizer,
    Group,
    KernelLSTM,
    LogAndSign,
    ParameterGroups,
    everything,
)
from l2l_tf.optimizers.base import State
from l2l_tf.serialization.trained import read_variables, save_optimizer
from l2l_tf.sonnet import LearnedOptimizer as SonnetOptimizer
from l2l_tf.unroll import rollout, start

FIRST, SAMPLE = tf.constant(0), tf.constant([1, 2])
STEPS = 3


class Two(Optimizee):
    """‖Wθ − y‖² whose θ has two parameters of other shapes, in float64."""

    def init(self, seed: tf.Tensor) -> Parameters:
        draw = tf.random.stateless_normal([6], seed, dtype=tf.float64)
        return {"a": tf.reshape(draw[:4], [2, 2]), "b": draw[4:]}

    def problem(self, seed: tf.Tensor) -> Any:
        return tf.random.stateless_normal([6, 7], seed, dtype=tf.float64)

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        del seed
        theta = tf.concat([tf.reshape(params[name], [-1]) for name in ("a", "b")], axis=0)
        return tf.reduce_sum((tf.linalg.matvec(problem[:, :6], theta) - problem[:, 6]) ** 2)


SMALL: dict[str, Any] = {"layers": (4, 3), "averaging": 2, "dtype": "float64", "output_scale": 0.1}
LEARNED: dict[str, Callable[[], CoupledOptimizer]] = {
    "lstm+gac": lambda: LSTMGAC(**SMALL),
    "lstm+gac, preprocessed": lambda: LSTMGAC(preprocessing=LogAndSign(p=5.0), **SMALL),
    "ntm-bfgs": lambda: NTMBFGS(read_heads=2, write_heads=3, **SMALL),
    "ntm-l-bfgs": lambda: NTMLBFGS(history=2, read_heads=1, write_heads=2, **SMALL),
}


def relative_errors(found: tuple[tf.Tensor, ...], expected: tuple[tf.Tensor, ...]) -> list[float]:
    return [float(tf.norm(a - b) / (tf.norm(b) or 1.0)) for a, b in zip(found, expected, strict=True)]


@pytest.mark.parametrize("name", LEARNED)
def test_replay_and_adjoint_equal_automatic_differentiation(name: str) -> None:
    optimizee, optimizer = Two(), everything(LEARNED[name]())
    unroll = Unroll(
        start(optimizee, optimizer, seeds.problem_keys(0, "train", range(3))),
        FIRST,
        tf.constant([0.5, 1.0, 2.0], tf.float64),
        SAMPLE,
    )
    losses, expected, end = AutodiffMetaGradient(optimizee, optimizer)(unroll)
    found = tf.function(ReplayMetaGradient(optimizee, optimizer), autograph=False)(unroll)
    assert min(float(tf.norm(part)) for part in expected) > 0
    assert max(relative_errors(found.gradient, expected)) < 1e-10
    np.testing.assert_allclose(found.losses, losses, rtol=1e-12)
    np.testing.assert_allclose(found.end.params["a"], end.params["a"], rtol=1e-12)
    second = AutodiffMetaGradient(optimizee, optimizer, second_derivatives=True)(unroll).gradient
    assert max(relative_errors(AdjointMetaGradient(optimizee, optimizer)(unroll).gradient, second)) < 1e-10


def test_a_replay_from_the_first_state_is_exact_too_and_samples_no_coupled_coordinates() -> None:
    optimizee = Two()
    optimizer = ParameterGroups(
        [Group(NTMBFGS(**SMALL), ["a"]), Group(CoordinatewiseLSTM((3,), dtype="float64", block_size=3), ["b"])]
    )
    begin = start(optimizee, optimizer, seeds.problem_keys(0, "train", range(2)))
    unroll = Unroll(begin, FIRST, tf.ones([STEPS], tf.float64), SAMPLE)
    expected = AutodiffMetaGradient(optimizee, optimizer)(unroll).gradient
    method = ReplayMetaGradient(optimizee, optimizer, replay=Replay(fraction=0.5, whole_below=0))
    found = tf.function(method, autograph=False)(unroll).gradient
    of_ntm = len(optimizer.groups[0].optimizer.trainable_variables)
    assert max(relative_errors(found[:of_ntm], expected[:of_ntm])) < 1e-10
    assert min(relative_errors(found[of_ntm:], expected[of_ntm:])) > 1e-3  # the other group's are sampled


@pytest.mark.parametrize("name", [*LEARNED, "bfgs", "l-bfgs"])
def test_each_problem_of_a_batch_is_optimized_by_itself(name: str) -> None:
    make = LEARNED | {"bfgs": lambda: BFGS(0.01), "l-bfgs": lambda: LBFGS(0.01)}
    together = evaluate(Two(), make[name](), problems=3, steps=4)
    alone = evaluate(Two(), make[name](), problems=3, steps=4, batch=1)
    np.testing.assert_allclose(together.loss, alone.loss, rtol=1e-6)


def updates(optimizer: CoupledOptimizer, gradients: np.ndarray) -> np.ndarray:
    """g_0 ... g_{T-1} for gradients [T, n]."""
    state, found = optimizer.init(tf.constant(gradients[:1])), []
    for gradient in gradients:
        update, state = optimizer.update(tf.constant(gradient[np.newaxis]), state)
        found.append(update.numpy()[0])
    return np.array(found)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31 - 1), n=st.integers(1, 6), name=st.sampled_from([*LEARNED]))
def test_permuting_the_coordinates_permutes_the_updates(seed: int, n: int, name: str) -> None:
    generator = np.random.default_rng(seed)
    optimizer, gradients, order = LEARNED[name](), generator.normal(size=[4, n]), generator.permutation(n)
    np.testing.assert_allclose(
        updates(optimizer, gradients[:, order]), updates(optimizer, gradients)[:, order], rtol=1e-9, atol=1e-12
    )


def test_without_averaging_cells_it_is_the_coordinatewise_lstm() -> None:
    arguments: dict[str, Any] = {"preprocessing": LogAndSign(), "output_scale": 0.3, "seed": 5, "dtype": "float64"}
    gradients = np.random.default_rng(0).normal(size=[5, 7])
    plain = CoordinatewiseLSTM((4, 3), **arguments)
    state, expected = plain.init(tf.constant(gradients[0])), []
    for gradient in gradients:
        update, state = plain.update(tf.constant(gradient), state)
        expected.append(update.numpy())
    np.testing.assert_array_equal(updates(LSTMGAC((4, 3), averaging=0, **arguments), gradients), expected)
    assert np.abs(updates(LSTMGAC((4, 3), averaging=1, **arguments), gradients) - expected).max() > 1e-3


def test_the_memory_of_few_steps_is_the_matrix_until_they_are_over() -> None:
    gradients = np.random.default_rng(1).normal(size=[6, 5])
    arguments = SMALL | {"initial_memory": 0.5, "output_deviation": 10.0}
    whole, last = updates(NTMBFGS(**arguments), gradients), updates(NTMLBFGS(history=3, **arguments), gradients)
    np.testing.assert_allclose(last[:4], whole[:4], rtol=1e-10)  # M of the fourth step is read in the fifth
    assert np.abs(last[4:] - whole[4:]).max() > 1e-8


def test_a_matrix_that_would_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"NTMBFGS's M for 15910 coordinates would take 0.94 GiB a problem.*NTMLBFGS"):
        NTMBFGS().init(tf.zeros([1, 15910]))


# What the paper says that they can do.


def clipping(n: int, cells: int = 48, small: float = 1e-3) -> LSTMGAC:
    """LSTM+GAC with weights set by hand so that g = −∇ / max(1, ‖∇‖) for ‖∇‖ ≤ 6, nearly.

    With no memory and output gates open, a cell is σ(i) tanh(j). In the first layer two averaging cells have i and j
    of ±u with u = small · ∇: together u²/2 in the mean, whence ‖∇‖² = s; a third has u itself. In the second layer
    cell k is σ(slope_k (centre_k − s)) · u, and 1 / max(1, √s) is a sum of such sigmoids, by least squares.
    """
    optimizer = LSTMGAC((3, cells + 2), averaging=2, dtype="float64")
    lower, upper = optimizer.controller.layers
    centres = np.geomspace(0.3, 40.0, cells)
    slopes = np.minimum(4.0 / (0.3 * centres), 40.0)
    for layer in (lower, upper):
        layer.w_gates.assign(tf.zeros_like(layer.w_gates))
        forget, output = -41.0 * np.ones(layer.size), 40.0 * np.ones(layer.size)
        layer.b_gates.assign(np.concatenate([np.zeros(2 * layer.size), forget, output])[:, np.newaxis])
    set_gates(lower, cell=0, i=({0: small}, 0.0), j={0: small})
    set_gates(lower, cell=1, i=({0: -small}, 0.0), j={0: -small})
    set_gates(lower, cell=2, i=({}, 40.0), j={0: small})
    for k, (centre, slope) in enumerate(zip(centres, slopes, strict=True)):
        to_s = 2.0 * n / small**2
        set_gates(upper, 2 + k, i=({0: -slope * to_s, 1: -slope * to_s}, slope * centre), j={2: 1.0})
    s = np.concatenate([np.linspace(0, 4, 400), np.linspace(4, 36, 600)])
    wanted = 1.0 / np.maximum(1.0, np.sqrt(s))
    sigmoids = tf.sigmoid(slopes * (centres - s[:, np.newaxis])).numpy()
    weights, *_ = np.linalg.lstsq(sigmoids / wanted[:, np.newaxis], np.ones(len(s)), rcond=1e-10)
    optimizer.controller.w_output.assign(-np.concatenate([[0.0, 0.0], weights])[np.newaxis] / small)
    return optimizer


def set_gates(layer: Any, cell: int, i: tuple[dict[int, float], float], j: dict[int, float]) -> None:
    """Sets a cell's input gate, by input and its bias, and its candidate, by input."""
    weights, biases = layer.w_gates.numpy(), layer.b_gates.numpy()
    for column, value in i[0].items():
        weights[cell, column] = value
    biases[cell] = i[1]
    for column, value in j.items():
        weights[layer.size + cell, column] = value
    layer.w_gates.assign(weights)
    layer.b_gates.assign(biases)


def test_hand_set_weights_clip_the_gradient_by_its_norm() -> None:
    n, generator = 6, np.random.default_rng(0)
    directions = generator.normal(size=[40, n])
    norms = np.geomspace(0.05, 5.9, 40)[:, np.newaxis]
    gradients = norms * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    clipped = -gradients / np.maximum(1.0, norms)
    errors = np.linalg.norm(updates(clipping(n), gradients) - clipped, axis=1) / np.linalg.norm(clipped, axis=1)
    assert errors.max() < 0.01


class BFGSByHand:
    """A coordinatewise controller that makes NTM-BFGS simulate inverse-Hessian BFGS: three steps for each of its own.

    It has one read head, three write heads, and takes two averages over the coordinates at a step; it knows n.
    With B = M: first it reads M y; then it writes what changes M and reads M ∇; then it moves by −ηM∇. While it does
    not move the gradient stays the same.
    """

    def __init__(self, n: int, rate: float):
        self.n = n
        self.rate = rate

    def init(self, problems: int, n: int) -> State:
        """Each coordinate's phase, last move s and the gradient before it."""
        zeros = tf.zeros([problems, n], tf.float64)
        return {"phase": tf.ones([problems, n], tf.int32), "s": zeros, "gradient": zeros}

    def __call__(self, inputs: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """[∇, what was read] to [g, r, a_1, a_2, a_3, b_1, b_2, b_3]."""
        gradient, read = tf.unstack(inputs)
        phase, s = state["phase"], state["s"]
        y = gradient - state["gradient"]
        mean_sy, mean_yMy = (tf.reduce_mean(product, axis=1, keepdims=True) for product in (s * y, y * read))
        rho = tf.math.divide_no_nan(1.0 / self.n, mean_sy) * tf.ones_like(s)
        writing, moving = (tf.cast(phase == k, s.dtype) for k in (1, 2))
        a = [rho * (1.0 + rho * self.n * mean_yMy) * s, -rho * read, -rho * s]
        b = [s, s, read]
        g = -self.rate * moving * read
        r = tf.where(phase == 0, y, gradient)
        state = {
            "phase": (phase + 1) % 3,
            "s": tf.where(phase == 2, g, s),
            "gradient": tf.where(phase == 2, gradient, state["gradient"]),
        }
        return tf.stack([g, r, *(writing * vector for vector in a), *b]), state


def inverse_bfgs(optimizee: Optimizee, start: np.ndarray, problem: tf.Tensor, rate: float, steps: int) -> np.ndarray:
    """θ_0 ... θ_K by Nocedal and Wright's equation 6.17, in NumPy."""
    hessian_root, target = problem[:, :6].numpy(), problem[:, 6].numpy()
    theta, B, path = start, 0.05 * np.eye(len(start)), [start]
    gradient = 2.0 * hessian_root.T @ (hessian_root @ theta - target)
    for _ in range(steps):
        s = -rate * B @ gradient
        theta, before = theta + s, gradient
        gradient = 2.0 * hessian_root.T @ (hessian_root @ theta - target)
        y = gradient - before
        rho = 1.0 / (s @ y)
        left = np.eye(len(s)) - rho * np.outer(s, y)
        B = left @ B @ left.T + rho * np.outer(s, s)
        path.append(theta)
    return np.array(path)


def flat(params: Parameters) -> np.ndarray:
    return np.concatenate([params[name].numpy().ravel() for name in ("a", "b")])


def path(optimizer: CoupledOptimizer, steps: int) -> np.ndarray:
    """θ_0 ... θ_K of one problem."""
    optimizee, groups = Two(), everything(optimizer)
    now, found = start(optimizee, groups, seeds.problem_keys(0, "test", [1])), []
    one = tf.function(lambda now, t: rollout(optimizee, groups, now, t, 1, record=False).end, autograph=False)
    for t in range(steps):
        found.append(flat(now.params))
        now = one(now, tf.constant(t))
    return np.array([*found, flat(now.params)])


def test_ntm_bfgs_with_a_controller_by_hand_follows_inverse_hessian_bfgs() -> None:
    steps, rate = 20, 0.5
    optimizee, ntm = Two(), NTMBFGS(initial_memory=0.05, controller=BFGSByHand(6, rate), dtype="float64")
    begin = start(optimizee, everything(ntm), seeds.problem_keys(0, "test", [1]))
    expected = inverse_bfgs(optimizee, flat(begin.params), begin.problem[0], rate, steps)
    found = path(ntm, 3 * steps)[1:]  # the first write has nothing to write, its read is M_0 ∇
    moves = found[1::3]  # the third step of each three, from the one that starts at phase 1
    np.testing.assert_allclose(moves, expected[1 : len(moves) + 1], rtol=0, atol=1e-8)
    np.testing.assert_array_equal(found[2::3], moves[: len(found[2::3])])
    assert np.linalg.norm(expected[-1] - expected[-2]) < np.linalg.norm(expected[1] - expected[0])
    bfgs = path(BFGS(rate, initial_scale=0.05), steps)
    np.testing.assert_allclose(bfgs, expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(path(LBFGS(rate, 0.05, history=steps), steps), expected, rtol=0, atol=1e-8)


# The kernel LSTM.


def test_the_kernel_lstm_sees_a_kernel_at_a_time_and_the_gradients_of_no_other() -> None:
    optimizer = KernelLSTM((2, 3), (4,), LogAndSign(), dtype="float64")
    generator = np.random.default_rng(0)
    filters = tf.constant(generator.normal(size=[3, 2, 3, 4, 5]))  # of three problems: height, width, inputs, outputs
    together, _ = everything(optimizer).update({"w": filters}, everything(optimizer).init({"w": filters}, 3), 3)
    one = filters[1, :, :, 2, 3].numpy()
    alone, _ = optimizer.update(tf.constant(one.reshape([1, 6])), optimizer.init(tf.zeros([1, 6])))
    np.testing.assert_allclose(tf.reshape(alone, [2, 3]), together["w"][1, :, :, 2, 3], rtol=1e-12)
    one[0, 0] += 1.0
    changed, _ = optimizer.update(tf.constant(one.reshape([1, 6])), optimizer.init(tf.zeros([1, 6])))
    assert np.all(np.abs(changed - alone) > 1e-12)
    with pytest.raises(InputError, match="7 coordinates are no whole number of kernels of 6"):
        optimizer.init(tf.zeros([1, 7]))


# The baselines.


@pytest.mark.parametrize("make", [BFGS, LBFGS])
def test_bfgs_solves_a_quadratic_in_few_steps(make: Any) -> None:
    curves = evaluate(Two(), make(1.0, initial_scale=0.01, rescale=True), problems=3, steps=40)
    by_step = curves.pivot(index="seed", columns="step", values="loss")
    assert (by_step[40] < 1e-6 * by_step[0]).all()


class Normalized(CoupledOptimizer, snt.Module):
    """g = −∇/‖∇‖: a coupled optimizer without state."""

    def init(self, coordinates: tf.Tensor) -> tuple[()]:
        """Nothing."""
        del coordinates
        return ()

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """−∇/‖∇‖."""
        return -gradients / tf.norm(gradients, axis=1, keepdims=True), state


def test_a_group_has_the_coordinates_of_its_own_parameters_only() -> None:
    optimizer = ParameterGroups([Group(Normalized(), ["a"]), Group(SGD(1.0), ["b"])])
    gradients = {"a": tf.reshape(tf.range(1.0, 9.0), [2, 2, 2]), "b": tf.ones([2, 3])}
    found, _ = optimizer.update(gradients, optimizer.init(gradients, 2), 2)
    np.testing.assert_allclose([tf.norm(one) for one in found["a"]], [1.0, 1.0], rtol=1e-6)
    np.testing.assert_array_equal(found["b"], -gradients["b"])


# In Keras and Sonnet.


@pytest.mark.parametrize("framework", ["keras", "sonnet"])
def test_a_trained_one_updates_all_variables_of_a_group_at_once(framework: str, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"layers": [4], "averaging": 2, "seed": 3}
    config = {"_target_": "l2l_tf.optimizers.NTMBFGS", **arguments}
    own = NTMBFGS(**arguments)
    save_optimizer(tmp_path, config, read_variables(everything(own)))
    variables = [tf.Variable(tf.ones([2, 3])), tf.Variable(tf.zeros([3]))]
    gradients = [[tf.random.stateless_normal(v.shape, [t, k]) for k, v in enumerate(variables)] for t in range(3)]
    state, theta = own.init(tf.zeros([1, 9])), np.array([1.0] * 6 + [0.0] * 3)
    for gradient in gradients:
        vector = tf.concat([tf.reshape(part, [1, -1]) for part in gradient], axis=1)
        update, state = own.update(vector, state)
        theta = theta + update.numpy()[0]
    optimizer: Any = KerasOptimizer(tmp_path, guard=False)
    if framework == "sonnet":
        optimizer = SonnetOptimizer(tmp_path, guard=False)
    for gradient in gradients:
        optimizer.apply(gradient, variables)
    np.testing.assert_allclose(tf.concat([tf.reshape(v, [-1]) for v in variables], axis=0), theta, rtol=1e-5, atol=1e-6)


def test_baselines_are_tuned_at_many_rates_as_one_by_one() -> None:
    rates = [0.03, 0.1]
    curves = rate_curves(IllConditioned(4), partial(BFGS, initial_scale=0.5), rates, 0, "test", range(3), 5)
    for rate, together in zip(rates, curves, strict=True):
        alone = evaluate(IllConditioned(4), BFGS(rate, initial_scale=0.5), problems=3, steps=5)
        np.testing.assert_allclose(together.reshape(-1), alone.loss, rtol=1e-4)
