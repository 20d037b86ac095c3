"""The whole way through the real commands, in miniature: train, tune, evaluate, tables, figures."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from experiments.results import store
from l2l_tf.data.mnist import to_idx

ROOT = Path(__file__).parent.parent
TINY = [
    "experiment=quadratic",
    "optimizer.layers=[4]",
    "optimizee.dimension=2",
    "schedule.epochs=2",
    "schedule.problems=4",
    "schedule.validation.every=1",
    "schedule.validation.problems=4",
    "panels.figure_4_left.problems=6",
    "panels.figure_4_left.batch=4",
    "tuning.problems=4",
    "tuning.per_decade=1",
]


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"experiments.{module}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"})


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    finished = run("reproduce", *TINY, f"results={folder}")
    assert finished.returncode == 0, finished.stderr
    return folder


def test_every_result_is_there(results: Path) -> None:
    expected = (
        "trained/quadratic/optimizer.safetensors",
        "tuning/4-left.csv",
        "curves/4-left.parquet",
        "curves/4-left.provenance.yaml",
        "tables/claims.md",
        "tables/final_loss.csv",
        "figures/figure_4.png",
        "figures/figure_4.pdf",
    )
    assert [name for name in expected if not (results / name).is_file()] == []


def test_all_optimizers_run_on_the_same_problems(results: Path) -> None:
    curves = store.read_curves(results / "curves" / "4-left.parquet")
    assert set(curves.optimizer) == {"LSTM", "SGD", "RMSprop", "ADAM", "NAG"}
    assert curves.groupby("optimizer").size().unique().tolist() == [6 * 101]
    first = curves[curves.step == 0].groupby("seed").loss
    assert (first.max() == first.min()).all()


def test_no_rate_was_chosen_at_the_edge_of_its_grid(results: Path) -> None:
    rates = store.read_parquet(results / "tuning" / "4-left.parquet", store.TUNING)
    for _, grid in rates.groupby("optimizer"):
        best = grid[grid.chosen].learning_rate.item()
        assert grid.learning_rate.min() < best < grid.learning_rate.max()


def test_provenance_says_where_curves_come_from(results: Path) -> None:
    record = yaml.safe_load((results / "curves" / "4-left.provenance.yaml").read_text())
    assert record["config"]["optimizee"]["dimension"] == 2
    assert set(record["config"]["trained"]) == {"LSTM"}
    assert record["packages"]["dm-sonnet"]


def test_a_second_run_finds_everything_done(results: Path) -> None:
    files = [path for path in results.rglob("*") if path.suffix in (".parquet", ".safetensors")]
    before = {path: path.stat().st_mtime_ns for path in files}
    finished = run("reproduce", *TINY, f"results={results}")
    assert finished.returncode == 0, finished.stderr
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_mnist_from_small_files(tmp_path: Path) -> None:
    """Figure 4 (centre) and figure 10 on 24 training and 8 test images, with the final accuracy."""
    draw = np.random.default_rng(0)
    for count, part in ((24, "train"), (8, "t10k")):
        images, labels = draw.integers(0, 256, [count, 4, 4]), np.arange(count) % 10
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            (tmp_path / "data/mnist").mkdir(parents=True, exist_ok=True)
            (tmp_path / "data/mnist" / name).write_bytes(to_idx(array))
    arguments = [
        "experiment=mnist",
        "panel=figure_4_centre",
        "panels.figure_4_centre.problems=3",
        f"data.dir={tmp_path}/data",
        "+optimizee.data.verify=false",
        "optimizee.module.units=3",
        "optimizee.batch_size=4",
        "schedule.epochs=1",
        "schedule.validation.every=1",
        "schedule.validation.problems=2",
        "tuning.problems=2",
        "tuning.per_decade=1",
        "updates.coordinates=[0,5]",
        f"results={tmp_path}/results",
    ]
    finished = run("reproduce", *arguments)
    assert finished.returncode == 0, finished.stderr
    results = tmp_path / "results"
    assert (results / "figures/figure_10.png").is_file()
    stored = store.read_parquet(results / "accuracy/4-centre.parquet", store.ACCURACIES)
    assert (stored.accuracy * 8 % 1 == 0).all()  # shares of eight test images
    table = pd.read_csv(results / "tables/accuracy.csv").set_index("optimizer")
    assert set(table.index) == {"LSTM", "SGD", "RMSprop", "ADAM", "NAG"}
    assert (table.n == 3).all()
    assert table.loc["ADAM", "mean"] == pytest.approx(stored[stored.optimizer == "ADAM"].accuracy.mean())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["experiment=quadratic", "panel=9-left"], "panel=9-left: must be one of figure_4_left"),
        (["optimizee=simple"], "panels: there are none"),
        (["experiment=quadratic", "results=nowhere"], "no trained optimizer"),
        (["experiment=quadratic", "panels.figure_4_left.problems=0"], "panels.figure_4_left.problems=0: must be"),
        (["experiment=quadratic", "+panels.figure_4_left.colour=red"], "colour"),
    ],
)
def test_bad_input_gets_one_line(arguments: list[str], line: str) -> None:
    finished = run("evaluate", *arguments)
    assert finished.returncode != 0
    assert line in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1


def test_a_multirun_leaves_one_table_of_its_runs(tmp_path: Path) -> None:
    tiny = [argument for argument in TINY if not argument.startswith(("panels", "tuning"))]
    finished = run("train", "-m", *tiny, "schedule.learning_rate=1e-3,1e-2", f"hydra.sweep.dir={tmp_path}")
    assert finished.returncode == 0, finished.stderr
    table = pd.read_parquet(tmp_path / "sweep.parquet")
    assert sorted(table["schedule.learning_rate"]) == ["0.001", "0.01"]
    assert table.best_validation_loss.is_monotonic_increasing
    assert (tmp_path / "sweep.csv").is_file()
