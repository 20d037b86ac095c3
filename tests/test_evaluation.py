"""Evaluation: paired problems, the frame, and the analytic course of gradient descent on a quadratic."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import seeds
from l2l_tf.data import Images
from l2l_tf.errors import InputError
from l2l_tf.evaluation.evaluate import Evaluator, accuracies, as_frame, evaluate
from l2l_tf.optimizees import Quadratic, Simple, SonnetClassifier, mlp
from l2l_tf.optimizers import SGD, Adam, CoordinatewiseLSTM, Group, ParameterGroups

QUADRATIC = Quadratic(dimension=3)


def test_the_frame_has_one_row_a_problem_and_step() -> None:
    frame = evaluate(QUADRATIC, SGD(0.01), problems=4, steps=5)
    assert list(frame.columns) == ["seed", "step", "loss"]
    assert frame.seed.tolist() == np.repeat(range(4), 6).tolist()
    assert frame.step.tolist() == list(range(6)) * 4
    assert frame.dtypes.astype(str).tolist() == ["int32", "int32", "float32"]
    assert frame.loss.notna().all()


def test_losses_in_long_form_stay_where_they_belong() -> None:
    frame = as_frame(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    assert frame[(frame.seed == 1) & (frame.step == 2)].loss.item() == 6.0
    assert frame[(frame.seed == 0) & (frame.step == 1)].loss.item() == 2.0


@pytest.mark.parametrize("functions", [1, 3])
def test_sgd_on_a_quadratic_follows_the_analytic_recursion(functions: int) -> None:
    quadratic, rate, steps = Quadratic(3, functions, initial_deviation=0.7), 0.05, 20
    frame = evaluate(quadratic, SGD(rate), problems=3, steps=steps, seed=11)
    for index in range(3):
        keys = seeds.problem_keys(11, "test", [index])[0]
        problem = quadratic.problem(seeds.stateless_seed(keys[seeds.PROBLEM], 0))
        theta = quadratic.init(seeds.stateless_seed(keys[seeds.INIT], 0))["x"].numpy().astype(np.float64)
        W, y = problem["W"].numpy().astype(np.float64), problem["y"].numpy().astype(np.float64)
        expected = []
        for _ in range(steps + 1):
            residual = np.einsum("fij,fj->fi", W, theta) - y
            expected.append((residual**2).sum(axis=1).mean())
            theta = theta - rate * 2 * np.einsum("fij,fi->fj", W, residual) / functions
        np.testing.assert_allclose(frame[frame.seed == index].loss, expected, rtol=1e-3)


def test_every_optimizer_gets_the_same_problems() -> None:
    frames = [
        evaluate(QUADRATIC, optimizer, problems=5, steps=2, seed=3)
        for optimizer in (SGD(0.01), Adam(0.1), CoordinatewiseLSTM((2,)))
    ]
    first = [frame[frame.step == 0].loss.to_numpy() for frame in frames]
    last = [frame[frame.step == 2].loss.to_numpy() for frame in frames]
    np.testing.assert_allclose(first[0], first[1], rtol=1e-6)
    np.testing.assert_allclose(first[0], first[2], rtol=1e-6)
    assert (last[0] != last[1]).all()
    assert len(set(first[0].tolist())) == 5


def test_another_seed_or_stream_has_other_problems() -> None:
    first = [
        evaluate(QUADRATIC, SGD(0.01), problems=3, steps=1, seed=seed, stream=stream).loss.to_numpy()
        for seed, stream in ((0, "test"), (1, "test"), (0, "validation"))
    ]
    assert len(set(np.concatenate(first).tolist())) == 18


@pytest.mark.parametrize("batch", [1, 2, 5, 100])
@pytest.mark.parametrize("optimizer", [Adam(0.1), CoordinatewiseLSTM((2,), block_size=4)])
def test_the_batch_size_changes_nothing(optimizer: Adam | CoordinatewiseLSTM, batch: int) -> None:
    one, other = (evaluate(QUADRATIC, optimizer, problems=5, steps=4, batch=size) for size in (3, batch))
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-4)


def test_more_problems_begin_with_the_same_ones() -> None:
    few, many = (evaluate(QUADRATIC, SGD(0.01), problems=problems, steps=2) for problems in (2, 4))
    np.testing.assert_allclose(few.loss, many[many.seed < 2].loss, rtol=1e-6)


def test_the_final_parameters_are_those_of_the_last_loss() -> None:
    losses, params = Evaluator(Simple(2), SGD(0.25), steps=3).losses(0, "test", range(2))
    np.testing.assert_allclose(params[0]["x_0"], [0.125, 0.125])  # each step halves x
    np.testing.assert_allclose(losses, [[2 * 0.25**step for step in range(4)]] * 2)


def test_a_pattern_that_matches_no_parameter_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"^optimizer.groups: pattern 'y' matches none of x_0$"):
        evaluate(Simple(), ParameterGroups([Group(SGD(0.5), ["y"])]), problems=1, steps=2)


def test_groups_are_evaluated_like_any_optimizer() -> None:
    optimizer = ParameterGroups([Group(SGD(0.5), ["x_0"]), Group(SGD(0.25), ["x_1"])])
    assert evaluate(Simple(2), optimizer, problems=1, steps=2).loss.tolist() == [2.0, 0.25, 0.0625]


def test_a_diverging_run_has_a_row_for_every_step() -> None:
    frame = evaluate(Simple(), SGD(1e10), problems=1, steps=10)
    assert len(frame) == 11
    assert not np.isfinite(frame.loss.iloc[-1])


def test_an_evaluator_follows_a_learning_rate_that_is_assigned() -> None:
    rate = tf.Variable(0.5)
    evaluator = Evaluator(Simple(), SGD(rate), steps=1)
    assert evaluator.losses(0, "test", [0])[0].tolist() == [[1.0, 0.0]]
    rate.assign(0.25)
    assert evaluator.losses(0, "test", [0])[0].tolist() == [[1.0, 0.25]]


@pytest.mark.parametrize(
    ("problems", "steps", "batch", "line"),
    [(0, 1, 1, "problems=0"), (1, 0, 1, "steps=0"), (1, 1, 0, "batch=0"), (-1, 1, 1, "problems=-1")],
)
def test_an_empty_evaluation_is_refused(problems: int, steps: int, batch: int, line: str) -> None:
    with pytest.raises(InputError, match=line):
        evaluate(Simple(), SGD(0.1), problems=problems, steps=steps, batch=batch)


def test_accuracies_are_those_of_each_problems_final_parameters() -> None:
    draw = np.random.default_rng(0)
    data = Images(draw.integers(0, 256, [1200, 3, 3, 1]).astype(np.uint8), (np.arange(1200) % 3).astype(np.int32))
    classifier = SonnetClassifier(partial(mlp, layers=1, units=4, classes=3), data, batch_size=8)
    _, finals = Evaluator(classifier, SGD(1.0), steps=5, batch=2).losses(0, "test", range(3))
    params = [{name: tensor[k] for name, tensor in finals[batch].items()} for batch, k in ((0, 0), (0, 1), (1, 0))]
    expected = [
        np.mean(np.argmax(classifier.logits(one, tf.constant(data.images)), axis=1) == data.labels) for one in params
    ]
    np.testing.assert_allclose(accuracies(classifier, finals), expected, rtol=1e-6)
