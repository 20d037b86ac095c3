"""The whole way through the real commands, in miniature: train, tune, evaluate, tables, figures."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import call

from experiments.benchmarks.short_runs import reproduce
from experiments.results.store import records
from l2l_tf.data.mnist import to_idx

TRAINING = [
    "experiment=quadratic",
    "optimizer.layers=[4]",
    "optimizee.dimension=2",
    "schedule.epochs=2",
    "schedule.problems=4",
    "schedule.validation.every=1",
    "schedule.validation.problems=4",
]
TINY = [
    *TRAINING,
    "panel=figure_4_left",
    "panel.problems=6",
    "panel.batch=4",
    "panel.tuning.problems=4",
    "panel.tuning.per_decade=1",
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    reproduce(folder, TINY)
    return folder


def test_every_result_is_there(results: Path) -> None:
    expected = (
        "trained/quadratic/optimizer.safetensors",
        "tables/claims.md",
        "tables/final_loss.csv",
        "figures/figure_4.png",
        "figures/figure_4.pdf",
        "bench/reproduce.csv",
    )
    assert [name for name in expected if not (results / name).is_file()] == []


def test_the_claim_is_about_all_five_optimizers(results: Path) -> None:
    table = pd.read_csv(results / "tables" / "final_loss.csv")
    assert set(table.optimizer) == {"LSTM", "SGD", "RMSprop", "ADAM", "NAG"}
    assert set(table.n) == {6}
    assert table.set_index("optimizer").learning_rate.isna().to_dict()["LSTM"]
    assert list(pd.read_csv(results / "tables" / "claims.csv").claim) == ["4-left"]


def test_records_say_where_runs_come_from(results: Path) -> None:
    for name, record in records(results).items():
        assert record["spec"]["optimizee"]["dimension"] == 2, name
        assert record["packages"]["dm-sonnet"]
        assert record["revision"]


def test_a_second_run_finds_everything_done(results: Path) -> None:
    files = [path for path in results.rglob("*") if path.suffix in (".parquet", ".safetensors")]
    before = {path: path.stat().st_mtime_ns for path in files}
    assert call("reproduce", *TINY, f"results={results}") == ""
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_what_is_reproduced_elsewhere_uses_no_stored_run(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (Path("results"), Path("own")):
        shutil.copytree(results / "trained", folder / "trained")
    shutil.copytree(results / "runs", "results/runs")
    assert call("reproduce", *TINY, "results=own") == ""
    made, stored = ({path.name for path in Path(folder, "runs").iterdir()} for folder in ("own", "results"))
    assert made == stored
    assert set(pd.read_csv("own/tables/final_loss.csv").optimizer) == {"LSTM", "SGD", "RMSprop", "ADAM", "NAG"}


def test_mnist_from_small_files(tmp_path: Path) -> None:
    """Figure 4 (centre) on 24 training and 8 test images, with the final accuracy."""
    draw = np.random.default_rng(0)
    for count, part in ((24, "train"), (8, "t10k")):
        images, labels = draw.integers(0, 256, [count, 4, 4]), np.arange(count) % 10
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            (tmp_path / "data/mnist").mkdir(parents=True, exist_ok=True)
            (tmp_path / "data/mnist" / name).write_bytes(to_idx(array))
    arguments = [
        "experiment=mnist",
        "panel=figure_4_centre",
        "panel.problems=3",
        "panel.steps=20",
        "optimizer.layers=[4]",
        "schedule.steps=20",
        f"data.dir={tmp_path}/data",
        "+optimizee.data.verify=false",
        "optimizee.module.units=3",
        "optimizee.compile=false",
        "optimizee.batch_size=4",
        "schedule.epochs=1",
        "schedule.validation.every=1",
        "schedule.validation.problems=2",
        "panel.tuning.problems=2",
        "panel.tuning.per_decade=1",
        "panel.baselines.SGD=null",
        "panel.baselines.RMSprop=null",
        f"results={tmp_path}/results",
    ]
    assert call("reproduce", *arguments) == ""
    tested = [record for record in records(tmp_path / "results").values() if record["accuracy"] is not None]
    assert len(tested) == 3
    assert all((record["accuracy"] * 8 % 1 == 0).all() for record in tested)  # shares of eight test images
    table = pd.read_csv(tmp_path / "results/tables/accuracy.csv").set_index("optimizer")
    assert set(table.index) == {"LSTM", "ADAM", "NAG"}
    assert (table.n == 3).all()
