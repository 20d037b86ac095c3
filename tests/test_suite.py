"""The suite of models that no optimizer was trained on: its tasks, and the table that is made of its runs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from commands import call

from experiments.results.trained import digest
from experiments.suite import networks, stored
from experiments.suite.runs import OPTIMIZERS, Grid, best_rates, measure, program
from experiments.suite.stored import is_done, weights_of
from experiments.suite.table import suite_table, what_works_where
from experiments.suite.tasks import (
    Task,
    convolutional,
    cross_entropy,
    friedman,
    gru,
    ratings,
    spirals,
    sums,
    transformer,
)
from l2l_tf import optimizers, seeds
from l2l_tf.data import Images
from l2l_tf.errors import InputError
from l2l_tf.optimizees import Optimizee
from l2l_tf.serialization.plain_yaml import read_yaml


def some_runs() -> pd.DataFrame:
    rows = [
        ("general", np.nan, "test", 0, 100, 1.0, 2.0),
        ("general", np.nan, "test", 1, 100, 3.0, 2.0),
        ("Adam", 0.001, "validation", 0, 100, 1.5, 2.0),
        ("Adam", 0.01, "validation", 0, 100, np.nan, 2.0),
        ("Adam", 0.003, "validation", 0, 100, 0.5, 2.0),
        ("Adam", 0.001, "test", 0, 100, 4.0, 2.0),
        ("Adam", 0.003, "test", 0, 100, 1.0, 2.0),
        ("Adam", 0.003, "test", 1, 100, 1.0, 2.0),
    ]
    columns = ["optimizer", "learning_rate", "stream", "seed", "horizon", "end", "start"]
    return pd.DataFrame(rows, columns=columns).assign(task="one")


def test_the_table_has_the_tuned_rate_the_default_and_what_diverged() -> None:
    table = suite_table(some_runs()).set_index("optimizer")
    assert list(table.index) == ["Adam default", "Adam tuned", "general"]
    assert table.learning_rate["Adam tuned"] == 0.003
    assert table["mean"]["Adam tuned"] == 1.0
    assert table.n["Adam tuned"] == 2
    assert table.learning_rate["Adam default"] == 0.001
    assert table["mean"]["Adam default"] == 4.0
    assert table["mean"]["general"] == 2.0
    assert table.diverged["general"] == 1
    assert table.start["general"] == 2.0
    other = some_runs().query("optimizer == 'general'").assign(task="other", end=np.nan)
    assert "| other | 2 | diverged | – | – |" in what_works_where(suite_table(pd.concat([some_runs(), other])), 100)
    text = what_works_where(suite_table(some_runs()), 100)
    assert "| one | 2 | 2 | 4 | **1** |" in text
    assert "below Adam tuned on 0 of 1 tasks; the geometric mean of the ratio of their losses is 2.00" in text


def test_a_run_that_diverged_is_not_the_best_rate() -> None:
    assert best_rates(some_runs().query("optimizer == 'Adam'")) == {100: 0.003}


def pictures(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.uniform(size=shape).astype(np.float32), generator.integers(10, size=shape[0]).astype(np.int32)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (lambda: Task(*convolutional(False), cross_entropy, pictures(40, 16, 16, 3), 4), np.log(10)),
        (lambda: Task(*convolutional(True), cross_entropy, pictures(40, 16, 16, 3), 4), np.log(10)),
        (lambda: Task(*gru(14, 8, 10), cross_entropy, pictures(40, 14, 14), 4), np.log(10)),
        (lambda: Task(*transformer(22, 16), cross_entropy, sums(50), 4), np.log(22)),
        (
            lambda: Task(
                *ratings(5, 6, 4), lambda y, x: (y - x)[:, 0] ** 2, (np.zeros([9, 2], np.int32), np.ones([9, 1], "f4"))
            ),
            1.0,
        ),
    ],
)
def test_models_begin_near_the_loss_of_knowing_nothing(task: Callable[[], Optimizee], expected: float) -> None:
    made = task()
    params = made.init(tf.constant([1, 2]))
    with tf.GradientTape() as tape:
        tape.watch(params)
        loss = made.loss(params, (), tf.constant([3, 4]))
    assert abs(float(loss) - expected) < 1.2
    gradients = tape.gradient(loss, params)
    assert all(np.isfinite(tf.convert_to_tensor(gradient)).all() for gradient in gradients.values())


def test_parameters_begin_as_keras_has_them() -> None:
    theta = Task(*transformer(22, 16), cross_entropy, sums(50), 4).init(tf.constant([1, 2]))
    for name in ("embedding", "position_embedding"):
        assert 0.04 < np.abs(theta[name]).max() <= 0.05
        assert np.std(theta[name]) > 0.02
    np.testing.assert_array_equal(theta["3_g"], np.ones(32))
    np.testing.assert_array_equal(theta["3_b"], np.zeros(32))
    assert np.abs(theta["head"]).max() <= (6 / (32 + 22)) ** 0.5


def test_sums_and_tables_are_what_they_say() -> None:
    tokens, following = sums(20)
    np.testing.assert_array_equal(tokens[:, 1:], following[:, :-1])
    np.testing.assert_array_equal((tokens[:, 2] + tokens[:, 1] - 11) % 11 + 11, tokens[:, 3])
    x, y = friedman(500)
    assert x.shape == (500, 10)
    assert abs(y.mean()) < 1e-5
    assert abs(y.std() - 1) < 1e-5
    assert set(spirals(100)[1]) == {0, 1, 2}


def test_the_command_stores_what_it_made_and_makes_it_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("suite", f"results={tmp_path}", "tasks=[regression]", "optimizers=[Adam]", "seeds=1", "steps=100")
    assert call(*line) == ""
    assert "| regression |" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "tables/general.csv")
    assert set(table.optimizer) == {"Adam default", "Adam tuned"}
    assert (table["mean"] < table.start).all()
    rows = pd.read_csv(tmp_path / "suite/regression/Adam.csv")
    assert set(rows.weights) == {"none"}
    assert rows.revision.notna().all()
    monkeypatch.setattr(stored, "measure", None)  # a second measurement would call it
    assert call(*line) == ""


def test_losses_are_means_over_all_examples_before_and_after_a_run() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=[51, 1]).astype("f4")
    data = x, (3.0 * x + 0.1 * generator.normal(size=[51, 1])).astype("f4")
    task = Task({"w": (1, 1)}, lambda params, x: x @ params["w"], lambda y, x: (y - x)[:, 0] ** 2, data, 5)
    rows = measure(task, Grid(optimizers.SGD, (1e-2, 1e-1)), Path("results/trained"), 2, 200)
    assert set(rows.stream) == {"validation", "test"}
    assert set(rows.horizon) == {100}  # 200 is none of the suite's horizons
    of_one = rows[(rows.stream == "test") & (rows.seed == 1)].iloc[-1]
    first = task.init(seeds.stateless_seed(seeds.problem_keys(0, "test", [1])[:, seeds.INIT], 0)[0])
    np.testing.assert_allclose(of_one.start, np.mean((data[1] - x * first["w"].numpy())[:50] ** 2), rtol=1e-5)
    learned = np.sum(x[:50] * data[1][:50]) / np.sum(x[:50] ** 2)
    np.testing.assert_allclose(of_one.end, np.mean((data[1] - x * learned)[:50] ** 2), rtol=0.5)


def test_a_run_goes_on_over_segments_as_it_would_in_one_piece() -> None:
    data = np.ones([10, 1], np.float32), np.zeros([10, 1], np.float32)
    task = Task({"b": (1,)}, lambda params, x: x + params["b"], lambda y, x: (y - x)[:, 0] ** 2 / 2, data, 5)
    losses = program(task, optimizers.SGD, 1000)(1e-3, seeds.problem_keys(0, "test", [0]))
    expected = {step: 0.5 * 0.999 ** (2 * step) for step in (0, 100, 1000)}  # f = (1 + b)^2 / 2 from b = 0
    assert losses == pytest.approx(expected, rel=1e-4)


def test_runs_that_measured_something_else_are_refused_in_one_line(tmp_path: Path) -> None:
    old = pd.DataFrame({"stream": ["test"], "seed": [0], "loss": 1.0, "start": 2.0, "weights": "none"})
    old.to_csv(tmp_path / "Adam.csv", index=False)
    with pytest.raises(InputError, match="end"):
        is_done(tmp_path / "Adam.csv", 1, "none")


def test_runs_of_other_weights_are_made_again(tmp_path: Path) -> None:
    rows = pd.DataFrame({"stream": ["test"] * 2, "seed": [0, 1], "start": 2.0, "end": 1.0, "weights": "0123"})
    rows.to_csv(tmp_path / "general.csv", index=False)
    rows.assign(weights="ab12").to_csv(tmp_path / "other.csv", index=False)
    assert is_done(tmp_path / "other.csv", 2, "ab12")
    assert not is_done(tmp_path / "other.csv", 3, "ab12")
    assert not is_done(tmp_path / "general.csv", 2, "ab12")
    assert weights_of(OPTIMIZERS["mnist"], Path("results/trained")) == digest(Path("results/trained/mnist"))


def test_growths_are_compared_on_training_images_by_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, splits = np.random.default_rng(0), []
    images = generator.integers(256, size=[300, 28, 28, 1]).astype(np.uint8)

    def load(directory: str, split: str) -> Images:
        splits.append(split)
        return Images(images, generator.integers(10, size=300).astype(np.int32))

    monkeypatch.setattr(networks, "load_mnist", load)
    monkeypatch.setattr(networks, "NETWORKS", {"1 x 2 ReLU": (1, 2, "relu", 3.0, 0.0)})
    shutil.copytree("l2l_tf/pretrained/general", tmp_path / "general")
    arguments = ["networks", "general", "--trained", str(tmp_path), "--problems", "1"]
    monkeypatch.setattr("sys.argv", [*arguments, "--growth", "0", "0.5"])
    networks.main()
    monkeypatch.setattr("sys.argv", arguments)
    networks.main()
    assert splits == ["train", "test"]
    growths = pd.read_csv(tmp_path / "general/growth.csv")
    assert list(growths.growth) == [0.0, 0.5]
    assert growths.at_1000.nunique() == 2
    table = pd.read_csv(tmp_path / "general/networks.csv")
    assert (list(table.holds_200), list(table.holds_1000)) == ([True], [False])
    records = [read_yaml(tmp_path / f"general/{name}.provenance.yaml")["config"] for name in ("growth", "networks")]
    assert [record["growth"] for record in records] == [[0.0, 0.5], None]
