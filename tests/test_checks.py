"""Values where they are read: NumPy's numbers, float32's limits, what a user's optimizee returns."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from refusals import refusal

from experiments.benchmarks import memory
from l2l_tf.checks import at_least, below_one, boolean, positive
from l2l_tf.evaluation.evaluate import Evaluator
from l2l_tf.meta import Schedule
from l2l_tf.optimizees import Optimizee
from l2l_tf.optimizees.base import Parameters
from l2l_tf.optimizers import SGD, CoordinatewiseLSTM, LogAndSign
from l2l_tf.serialization.build import build, one_of_targets


@pytest.mark.parametrize("kind", [int, np.int32, np.int64, np.uint8])
def test_integers_may_be_numpys(kind: Callable[[int], int]) -> None:
    assert at_least("n", kind(3), 1) == 3
    assert positive("n", kind(3)) == 3
    assert refusal(lambda: at_least("n", kind(0), 1)) == "n=0: must be an integer of at least 1"


@pytest.mark.parametrize(
    "value", [True, np.True_, 1.0, np.float64(1), "1", None, [1], 2**31, 2**70, pytest.param(10**5000, id="huge")]
)
def test_what_is_no_integer_of_32_bits_is_refused(value: Any) -> None:
    assert refusal(lambda: at_least("n", value, 1)).startswith("n=")


@pytest.mark.parametrize("value", [0, -1, 1e-320, 1e-46, 1e39, float("nan"), float("inf"), True, "1", None, 2**70])
def test_what_float32_takes_for_0_or_infinite_is_not_positive(value: Any) -> None:
    assert refusal(lambda: positive("rate", value)).startswith("rate=")


def test_numbers_of_numpy_are_numbers_and_truth_is_only_true_or_false() -> None:
    half: Any = np.float32(0.5)
    assert positive("rate", half) == 0.5
    assert "below 1" in refusal(lambda: below_one("decay", 1 - 1e-12))  # 1 in float32
    others: list[Any] = [1, 0, "false", None]
    for other in others:
        assert refusal(partial(boolean, "b", other)) == f"b={other}: must be of type bool"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SGD(1e39), "learning_rate=1e+39"),
        (lambda: SGD(1e-320), "learning_rate=1e-320"),
        (lambda: CoordinatewiseLSTM(output_scale=0.0), "output_scale=0.0: must be a finite number above 0"),
        (lambda: CoordinatewiseLSTM(seed=2**63), "seed=9223372036854775808"),
        (lambda: LogAndSign(derivative_width=1e39), "derivative_width=1e+39"),
        (lambda: Schedule(clip_norm=1e-46), "clip_norm=1e-46"),
        (lambda: Schedule(steps=2, unroll=1, weights=[0, 0]), "weights=[0, 0]: must have one above 0"),
        (lambda: Schedule(steps=2, unroll=1, weights=[0, 1e-60]), "must have one above 0"),
        (lambda: Schedule(shortest=20, weights="final"), "weights=final: must be all or inverse_loss with"),
        (lambda: Schedule(shortest=20, weights=[1.0] * 100), "must be all or inverse_loss with shortest=20"),
        (lambda: Schedule(steps=2**40, unroll=1), "steps=1099511627776"),
    ],
)
def test_settings_that_would_do_nothing_or_overflow_are_refused(make: Callable[[], object], says: str) -> None:
    assert says in refusal(make)


class Square(Optimizee):
    """θ², or what a test makes of it."""

    def __init__(self, **returned: Any):
        self.returned = returned

    def init(self, seed: tf.Tensor) -> Parameters:
        return self.returned.get("init", {"x": tf.constant([2.0])})

    def problem(self, seed: tf.Tensor) -> Any:
        return self.returned.get("problem", ())

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        return self.returned.get("loss", tf.reduce_sum(params["x"] ** 2))


@pytest.mark.parametrize(
    ("returned", "line"),
    [
        ({"problem": None}, "Square.problem must return tensors, in tuples or dicts if need be, has None"),
        ({"problem": {"a": 3.0}}, "Square.problem must return tensors, in tuples or dicts if need be, has 3.0"),
        ({"loss": tf.constant([1.0])}, "Square.loss must return a scalar, has shape [1]"),
        ({"loss": 1.0}, "Square.loss must return a floating-point tensor, returned 1.0"),
        ({"loss": tf.constant(1)}, "Square.loss must return a floating-point tensor, returned one of int32"),
        ({"loss": None}, "Square.loss must return a floating-point tensor, returned None"),
        ({"init": {}}, "Square.init must return a dict of floating-point tensors by name, returned a dict without"),
        ({"init": {"x": 1.0}}, "Square.init must return a dict of floating-point tensors by name, returned a dict"),
        ({"init": [tf.constant(1.0)]}, "Square.init must return a dict of floating-point tensors by name, returned"),
    ],
)
def test_what_an_optimizee_returns_wrongly_is_one_line(returned: dict[str, Any], line: str) -> None:
    assert refusal(lambda: Evaluator(Square(**returned), SGD(0.1), steps=1)).startswith(line)


def test_an_unknown_or_missing_argument_is_named_with_its_key() -> None:
    resolve = one_of_targets({"l2l.Schedule": Schedule, "l2l.SGD": SGD})
    line = refusal(lambda: build({"_target_": "l2l.Schedule", "stepps": 5}, resolve, "schedule"))
    assert line.startswith("schedule.stepps=5: l2l.Schedule has no such argument; it has steps, unroll, ")
    line = refusal(lambda: build({"a": [{"_target_": "l2l.SGD"}]}, resolve, "x"))
    assert line == "x.a.0: l2l.SGD needs learning_rate"


def test_memory_is_counted_as_the_system_does_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    linux = memory.peak_memory()
    assert linux is not None
    monkeypatch.setattr(sys, "platform", "darwin")
    mac = memory.peak_memory()
    assert mac is not None
    assert mac < linux / 500
    monkeypatch.setattr(memory, "resource", None)
    assert memory.peak_memory() is None
    memory.limit_memory(1.0)


def test_importing_the_library_silences_nothing() -> None:
    code = "import os; before = dict(os.environ); import l2l_tf, l2l_tf.checks; assert dict(os.environ) == before"
    root = Path(__file__).parent.parent
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
