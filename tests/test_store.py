"""The results store: round trips, whole files, and one clear line for every bad one."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from experiments.results import store
from l2l_tf.errors import InputError


def curves(seeds: int = 3, steps: int = 4) -> pd.DataFrame:
    frame = pd.DataFrame({"seed": np.repeat(np.arange(seeds), steps), "step": np.tile(np.arange(1, steps + 1), seeds)})
    frame["loss"] = np.linspace(2.0, 0.5, len(frame))
    return frame.assign(experiment="quadratic", panel="4-left", optimizee="quadratic", optimizer="LSTM")


def message(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_round_trip_keeps_values_and_extra_columns(tmp_path: Path) -> None:
    path = tmp_path / "curves" / "4-left.parquet"
    frame = curves().assign(remark="kept", accuracy=0.5)
    frame.loc[5, "loss"] = np.nan
    frame.loc[6, "loss"] = np.inf
    store.write_curves(path, frame, {"wall_time": 1.5})
    back = store.read_curves(path)
    pd.testing.assert_frame_equal(back, frame, check_dtype=False, rtol=1e-6)
    assert back["loss"].dtype == np.float32
    assert back["seed"].dtype == back["step"].dtype == np.int32
    assert yaml.safe_load((tmp_path / "curves" / "4-left.provenance.yaml").read_text()) == {"wall_time": 1.5}
    assert sorted(os.listdir(path.parent)) == ["4-left.parquet", "4-left.provenance.yaml"]


def test_a_folder_that_looks_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    path = tmp_path / "rate=0.1" / "4-left.parquet"
    store.write_curves(path, curves(), {})
    assert "rate" not in store.read_curves(path)


def test_600_000_rows_are_small(tmp_path: Path) -> None:
    path = tmp_path / "4-left.parquet"
    frame = curves(6_000, 100)
    frame["loss"] = np.random.default_rng(0).lognormal(size=len(frame))
    store.write_curves(path, frame, {})
    assert path.stat().st_size < 3_000_000


def test_an_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    text = message(lambda: store.write_curves(tmp_path / "file" / "4-left.parquet", curves(), {}))
    assert "cannot be written" in text


def test_tables(tmp_path: Path) -> None:
    frame = pd.DataFrame({"name": ["a", "b"], "loss": [1 / 3, np.inf]})
    store.write_table(tmp_path / "runs.v1", frame, parquet=True)
    assert (tmp_path / "runs.v1.csv").read_text() == "name,loss\na,0.333333\nb,inf\n"
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "runs.v1.parquet"), frame)
    store.write_table(tmp_path / "plain", frame)
    assert not (tmp_path / "plain.parquet").exists()


def test_missing_and_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "4-left.parquet"
    assert message(lambda: store.read_curves(path)) == f"{path}: no such results file"
    path.write_text("panel,loss\n")
    assert "not a Parquet file or a truncated one" in message(lambda: store.read_curves(path))
    store.write_curves(path, curves(300, 100), {})
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "truncated" in message(lambda: store.read_curves(path))


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda f: f.drop(columns="loss"), "missing column loss (needed: experiment, panel, optimizee"),
        (lambda f: f.drop(columns=["seed", "step"]), "missing column seed, step (needed"),
        (lambda f: f.head(0), "has no rows"),
        (lambda f: f.assign(panel=4), "column panel must hold strings, not int64"),
        (lambda f: f.assign(loss="low"), "column loss must hold floats, not "),
        (lambda f: f.assign(seed=0.5), "column seed must hold integers, not float64"),
        (lambda f: f.assign(step=True), "column step must hold integers, not bool"),
        (lambda f: f.assign(optimizer=["LSTM", None] * 6), "column optimizer has missing values"),
    ],
)
def test_bad_tables_on_write_and_on_read(
    tmp_path: Path, spoil: Callable[[pd.DataFrame], pd.DataFrame], complaint: str
) -> None:
    path = tmp_path / "4-left.parquet"
    frame = spoil(curves())
    assert f"{path}: {complaint}" in message(lambda: store.write_curves(path, frame, {}))
    assert not path.exists()
    frame.to_parquet(path)
    assert f"{path}: {complaint}" in message(lambda: store.read_curves(path))


def test_figure_6_needs_the_architecture_and_integers_fit(tmp_path: Path) -> None:
    path = tmp_path / "6-1-layer.parquet"
    assert "missing column layers, units" in message(lambda: store.write_curves(path, curves(), {}))
    store.write_curves(path, curves().assign(layers=1, units=20), {})
    assert store.read_curves(path)["units"].dtype == np.int32
    big = curves().assign(seed=2**40)
    text = message(lambda: store.write_curves(tmp_path / "4-left.parquet", big, {}))
    assert "column seed has values beyond 32 bits" in text


@pytest.mark.parametrize("content", [b"a: [b", b"PAR1", b"\xff\xfe\xff", b"config: 3"])
def test_a_damaged_provenance_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "4-left.provenance.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"4-left\.provenance\.yaml: no readable record$"):
        store.read_provenance(tmp_path / "4-left.parquet")


def test_a_result_without_provenance_has_an_empty_one(tmp_path: Path) -> None:
    assert store.read_provenance(tmp_path / "4-left.parquet") == {}


def test_provenance_says_how_and_not_where() -> None:
    config = {
        "data": {"dir": str(store.REPOSITORY / "data")},
        "cache": "/elsewhere/cache/mnist",
        "overrides": ["data.dir=/elsewhere/data", "rate=3e-4"],
        "url": "https://example.org/a/b",
        "rate": np.float64(0.1),
        "steps": 100,
        "early": None,
    }
    record = store.provenance(config, 12.34567)
    assert record["config"] == {
        "data": {"dir": "data"},
        "cache": ".../mnist",
        "overrides": ["data.dir=.../data", "rate=3e-4"],
        "url": "https://example.org/a/b",
        "rate": 0.1,
        "steps": 100,
        "early": None,
    }
    assert record["wall_time"] == 12.346
    assert 0.01 < record["peak_memory"] < 100
    assert record["packages"]["numpy"] == np.__version__
    assert record["dirty"] in (True, False, None)
    assert record["cores"] >= 1
    text = yaml.safe_dump(record)
    assert "someone" not in text
    assert str(store.REPOSITORY) not in text
    assert store.provenance(None, 0)["config"] is None


def test_learned_names() -> None:
    names = ["LSTM", "LSTM-sub", "SGD", "NAG", "ADAM", "RMSprop"]
    assert [name for name in names if store.is_learned(name)] == ["LSTM", "LSTM-sub"]
