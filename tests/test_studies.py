"""Studies of what optimizers cost, and of SciPy's BFGS, as their commands run them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.studies import coupled_cost, keras_step, scipy_bfgs
from l2l_tf.optimizers import NTMBFGS, SGD
from l2l_tf.serialization.plain_yaml import read_yaml


def test_cost_of_a_step_is_stored_for_each_optimizer_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["coupled_cost", "--output", str(tmp_path), "--coordinates", "4", "8", "--steps", "2", "--repeats", "1"]
    monkeypatch.setattr("sys.argv", arguments)
    coupled_cost.main()
    table = pd.read_csv(tmp_path / "coupled_cost.csv").set_index(["optimizer", "coordinates"])
    assert {name for name, _ in table.index} == set(coupled_cost.OPTIMIZERS)
    assert (table.seconds > 0).all()
    # M [n, n] in float32 and the reads and states of the controller, which are n times something.
    sizes = [table.state_bytes[name, 8] - 2 * table.state_bytes[name, 4] for name in ("NTM-BFGS", "NTM-L-BFGS")]
    assert sizes[0] >= 4 * (8 * 8 - 2 * 4 * 4)
    assert abs(sizes[1]) < 4 * 8


def test_state_of_a_matrix_is_counted() -> None:
    _, small = coupled_cost.cost(SGD(0.1), 10, steps=1, repeats=1)
    _, large = coupled_cost.cost(NTMBFGS(), 10, steps=1, repeats=1)
    assert small == 0
    assert large >= 4 * 10 * 10


@pytest.mark.parametrize("method", scipy_bfgs.METHODS)
def test_scipy_reaches_the_minimum_of_a_quadratic_and_its_curve_never_rises(method: str) -> None:
    rng = np.random.default_rng(0)
    W, minimum, theta = rng.normal(size=(5, 5)), rng.normal(size=5), np.zeros(5)
    losses = scipy_bfgs.lowest_losses(method, 100, W, minimum, theta)
    assert losses.shape == (100,)
    assert losses[0] == pytest.approx(float(np.sum((W @ minimum) ** 2)))
    assert (np.diff(losses) <= 0).all()
    assert losses[-1] < 1e-15


def test_scipy_table_starts_where_the_panel_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["scipy_bfgs", "--output", str(tmp_path), "--dimensions", "3", "--problems", "2"])
    scipy_bfgs.main()
    table = pd.read_csv(tmp_path / "scipy_bfgs.csv")
    assert table.groupby("method").size().to_dict() == dict.fromkeys(scipy_bfgs.METHODS, len(scipy_bfgs.AT))
    first = table[table.evaluations == 1].loss
    assert (first == first.iloc[0]).all()  # both begin at the same θ_0


def test_a_step_in_keras_is_compared_with_adams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sys.argv", ["keras_step", "--output", str(tmp_path), "--parameters", "10000", "--repeats", "1"]
    )
    keras_step.main()
    table = pd.read_csv(tmp_path / "keras_step.csv").set_index("optimizer")
    assert set(table.index) == set(keras_step.OPTIMIZERS)
    record = read_yaml(tmp_path / "keras_step.provenance.yaml")  # what made the table
    assert record["config"]["parameters"] == 10_000
    assert {"revision", "dirty", "processor"} <= set(record)
    assert (table.seconds > 0).all()
    assert table.times_adam["Adam"] == 1
    # Adam's two moments; four momenta, two second moments and a largest one, and the guard's copy of the parameters.
    assert table.state["Adam"] == pytest.approx(2, abs=0.1)
    assert table.state["general, no guard"] == pytest.approx(7, abs=0.1)
    assert table.state["general"] == pytest.approx(8, abs=0.1)
