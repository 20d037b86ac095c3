"""Trainings with a known fault, through the real commands in miniature, and what `diagnose` calls the fault."""

import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from l2l_tf.data import Images
from l2l_tf.data.mnist import to_idx
from l2l_tf.diagnostics import measures, rules
from l2l_tf.meta import Schedule, Validation
from l2l_tf.optimizees import Quadratic, SonnetClassifier, mlp
from l2l_tf.optimizers import CoordinatewiseLSTM, LogAndSign

QUADRATIC = [
    "experiment=quadratic",
    "optimizer.layers=[4]",
    "optimizee.dimension=2",
    "optimizee.functions=8",
    "schedule.steps=20",
    "schedule.unroll=10",
    "schedule.epochs=20",
    "schedule.learning_rate=1e-2",
    "schedule.validation.every=10",
    "schedule.validation.problems=2",
]
MNIST = [
    "experiment=mnist",
    "schedule=paper",
    "optimizer.layers=[4]",
    "optimizee.module.units=5",
    "optimizee.batch_size=16",
    "+optimizee.data.verify=false",
    "schedule.steps=20",
    "schedule.unroll=10",
    "schedule.epochs=20",
    "schedule.learning_rate=1e-2",
    "schedule.replay.fraction=1.0",
    "schedule.validation.every=10",
    "schedule.validation.problems=2",
    "schedule.validation.window=5",
]
FAULTS = {
    "rate": (rules.LEARNING_RATE, [*QUADRATIC, "schedule.learning_rate=30.0"]),
    "not finite": (rules.LEARNING_RATE, [*QUADRATIC, "schedule.learning_rate=1e25"]),
    "saturation": (
        rules.SATURATION,
        [*MNIST, "optimizer.output_scale=10.0", "optimizer._target_=l2l_tf.optimizers.OddLSTM"],
    ),
    "vanishing": (rules.VANISHING, [*QUADRATIC, "optimizer.output_scale=1e-6"]),
    "horizon": (
        rules.HORIZON,  # always from 1 to 0 in five steps: it learns to go there, and goes on
        ["optimizee=simple", *QUADRATIC[1:2], *QUADRATIC[7:], "schedule.steps=5", "schedule.unroll=5"],
    ),
}

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a command run a second time in this process


def call(command: str, *arguments: str) -> object:
    """Runs a command in this process; returns its exit status, or the line that it ends with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [command, *arguments])
        try:
            runpy.run_module(f"experiments.{command}", run_name="__main__")
        except SystemExit as end:
            return end.code
    return 0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images whose label can be seen."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "mnist").mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 240), ("t10k", 40)):
        labels = rng.integers(4, size=count)
        images = rng.integers(40, size=(count, 8, 8)) + 50 * labels[:, None, None]
        (folder / "mnist" / f"{part}-images-idx3-ubyte").write_bytes(to_idx(images))
        (folder / "mnist" / f"{part}-labels-idx1-ubyte").write_bytes(to_idx(labels))
    return folder


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    folder = tmp_path_factory.mktemp("healthy")
    assert call("train", *MNIST, f"data.dir={data}", f"hydra.run.dir={folder}") == 0
    return folder


@pytest.mark.parametrize(("fault", "training"), FAULTS.values(), ids=FAULTS)
def test_the_fault_is_named(
    fault: str, training: list[str], tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("train", *training, f"data.dir={data}", f"hydra.run.dir={tmp_path}")
    assert call("diagnose", str(tmp_path), f"data.dir={data}") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("fault:")] == [f"fault: {fault}"], "\n".join(lines)


def test_nothing_is_found_in_a_healthy_run(healthy: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("diagnose", str(healthy), f"data.dir={data}") == 0
    printed = capsys.readouterr().out
    assert printed.rstrip().endswith("fault: nothing found"), printed
    assert printed.count("healthy: ") == printed.count("otherwise: ") == 8
    assert "not measured" not in printed
    assert (healthy / "diagnosis.png").read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(healthy / "diagnosis.csv")
    assert list(table.columns) == ["phi", "measure", "part", "position", "value"]
    shares = table[table.measure.isin(["saturated gates", "preprocessed inputs", "saturated hidden units"])]
    assert shares.value.between(0, 1).all()
    cosines = table[table.measure == "meta-gradient cosine"]
    assert cosines.value.abs().max() <= 1 + 1e-5
    assert set(cosines[cosines.phi == "last"].part) == {
        "0/lstm_1/w_gates",
        "0/lstm_1/b_gates",
        "0/w_output",
        "0/b_output",
        "all",
    }


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "checkpoint": (lambda run: cut_short(run / "checkpoint.safetensors"), "checkpoint.safetensors: damaged"),
    "not YAML": (lambda run: (run / "provenance.yaml").write_text("a: [b"), "provenance.yaml: not readable as YAML"),
    "no config": (
        lambda run: (run / "provenance.yaml").write_text("a: 1"),
        "holds no training's configuration",
    ),
    "history": (lambda run: (run / "history.csv").write_bytes(b"\xff\xfe\x00"), "history.csv: not readable as CSV"),
    "no column": (
        lambda run: (run / "history.csv").write_text("update\n1\n"),
        "history.csv: lacks the columns meta_loss, validation_loss",
    ),
    "nothing": (shutil.rmtree, "experiments.train left nothing here"),
    "no data": (lambda run: None, "missing: run `make data`"),
}


@pytest.mark.parametrize(("damage", "line"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_run_gets_one_line(
    damage: Callable[[Path], object], line: str, healthy: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(healthy, tmp_path / "run")
    damage(run)
    error = str(call("diagnose", str(run), f"data.dir={tmp_path}"))  # sys.exit of a line: status 1
    assert error.startswith("error: ")
    assert line in error
    assert "\n" not in error


# The measures themselves.


def test_gates_saturate_where_their_biases_say_so() -> None:
    lstm = CoordinatewiseLSTM(layers=(3,), preprocessing=LogAndSign())
    gradients = tf.constant([0.1, -1.0])
    state = lstm.init(gradients)
    bias = np.zeros([12, 1], np.float32)
    bias[0:3] = 10.0  # input
    bias[9:10] = -10.0  # one of three output gates
    lstm.layers[0].b_gates.assign(bias)
    values = measures.saturated_gates(lstm, gradients, state, lstm.update(gradients, state)[1], "0/")
    shares = {part: round(float(value), 3) for (_, part), value in values.items()}
    assert shares == {
        "0/lstm_1 input": 1.0,
        "0/lstm_1 candidate": 0.0,
        "0/lstm_1 forget": 0.0,
        "0/lstm_1 output": 0.333,
    }


def test_inputs_are_counted_by_branch() -> None:
    lstm = CoordinatewiseLSTM(layers=(3,), preprocessing=LogAndSign(p=2.0))
    branches = measures.input_branches(lstm, tf.constant([1.0, -0.5, 0.1, 0.0]), "0/")  # exp(-2) = 0.135
    assert [float(value) for value in branches.values()] == [0.5, 0.5]
    assert measures.input_branches(CoordinatewiseLSTM(layers=(3,)), tf.constant([1.0]), "0/") == {}


@pytest.mark.parametrize(
    ("activation", "bias", "expected"), [("sigmoid", 9.0, 1.0), ("tanh", 0.0, 0.0), ("relu", -9.0, 1.0)]
)
def test_hidden_units_are_found_in_the_graph(activation: str, bias: float, expected: float) -> None:
    images = Images(np.zeros([4, 2, 2, 1], np.uint8), np.arange(4, dtype=np.int32))
    optimizee = SonnetClassifier(lambda: mlp(units=3, activation=activation), images, batch_size=4)
    params = optimizee.init(tf.constant([0, 0]))
    params["linear_0/b"] = tf.fill([3], bias)
    measure = tf.function(lambda: measures.saturated_units(optimizee, params, (), tf.constant([0, 0])), autograph=False)
    assert [float(value) for value in measure().values()] == [expected]


def test_a_quadratic_has_no_hidden_units() -> None:
    optimizee, seed = Quadratic(), tf.constant([0, 0])
    problem = optimizee.problem(seed)
    assert (
        tf.function(lambda: measures.saturated_units(optimizee, optimizee.init(seed), problem, seed), autograph=False)()
        == {}
    )


def examined(losses: list[float]) -> pd.DataFrame:
    rows = [("loss", "", step, loss) for step, loss in enumerate(losses)]
    rows += [("meta-gradient elasticity", "all", 0, 1.0)]
    return pd.DataFrame(rows, columns=measures.COLUMNS)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ([8.0, 2.0, 2.5, 2.0], []),
        ([8.0, 2.0, 4.0, 7.0], [rules.HORIZON]),
        ([8.0, 2.0, 4.0, np.inf], [rules.HORIZON]),
        ([8.0, 7.9, 7.9, 7.9], [rules.NO_PROGRESS]),
        ([8.0, 80.0, 80.0, 80.0], [rules.LEARNING_RATE]),
    ],
)
def test_rules_on_curves(last: list[float], expected: list[str]) -> None:
    schedule = Schedule(steps=1, unroll=1, validation=Validation(window=1))
    untrained = pd.concat(
        [
            examined([8.0, 8.0, 8.0, 8.0]),
            pd.DataFrame([("meta-loss after one meta-step", "", 0.0, 8.0)], columns=measures.COLUMNS),
        ]
    )
    found = rules.find_faults({"untrained": untrained, "best": examined(last), "last": examined(last)}, schedule)
    assert [finding.fault for finding in found] == expected
