"""Seconds by stage: none is counted twice or lost, a first call is compiling, and commands add theirs to one table."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from experiments.benchmarks.stages import STAGES, add_stages
from l2l_tf import stages


def test_a_stage_within_another_is_not_counted_twice() -> None:
    began, before = time.monotonic(), stages.seconds()
    with stages.stage("outer"):
        with stages.stage("inner"):
            time.sleep(0.02)
        time.sleep(0.01)
    after, passed = stages.seconds(), time.monotonic() - began
    spent = {name: after[name] - before.get(name, 0.0) for name in after}
    assert spent["inner"] >= 0.02
    assert spent["outer"] >= 0.01
    assert sum(spent.values()) <= passed


def test_the_call_that_traces_is_compiling_and_the_next_is_not() -> None:
    double = tf.function(lambda x: 2 * x)
    assert float(stages.call(double, tf.constant(2.0))) == 4.0
    first = stages.SECONDS[stages.COMPILING]
    assert first > 0
    stages.call(double, tf.constant(3.0))
    assert stages.SECONDS[stages.COMPILING] == first


def test_of_a_first_call_without_xla_only_the_tracing_is_compiling() -> None:
    def slow(x: float) -> np.float32:
        time.sleep(0.2)
        return np.float32(x)

    run = tf.function(lambda x: tf.numpy_function(slow, [x], tf.float32))
    with stages.stage("evaluation"):
        before = stages.seconds()
        assert float(stages.call(run, tf.constant(2.0), xla=False)) == 2.0
    after = stages.seconds()
    assert after["evaluation"] - before.get("evaluation", 0.0) >= 0.2
    assert after[stages.COMPILING] - before.get(stages.COMPILING, 0.0) > 0


def test_a_command_adds_its_seconds_to_those_of_the_experiment(tmp_path: Path) -> None:
    path = tmp_path / "reproduce.csv"
    add_stages(path, "quadratic", {"training": 5.0, "start": 1.0})
    add_stages(path, "mnist", {"training": 7.0})
    add_stages(path, "quadratic", {"tuning": 2.0, "start": 1.5})
    table = pd.read_csv(path).set_index(["experiment", "stage"]).seconds
    assert table["quadratic"].to_dict() == dict.fromkeys(STAGES, 0.0) | {"training": 5.0, "start": 2.5, "tuning": 2.0}
    assert table["mnist", "training"] == 7.0
    assert (tmp_path / "reproduce.png").stat().st_size > 1000


def test_tensorflow_does_not_warn_of_retracing(capfd: pytest.CaptureFixture[str]) -> None:
    def traced(power: int) -> None:
        tf.function(lambda x: x**power)(tf.constant(2.0))  # the same line each time: TensorFlow counts by line

    for power in range(8):
        traced(power)
    assert capfd.readouterr().err == ""
