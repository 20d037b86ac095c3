"""Run files: round trips, whole files, and one clear line for every bad one."""

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.results.run import Run, Spec, canonical_optimizee
from experiments.results.store import Store, encode, path_of, read
from l2l_tf.errors import InputError

SPEC = Spec({"_target_": "Quadratic", "dimension": 2}, {"_target_": "SGD"}, "test", 0, 3, 4).with_rate(0.1)


def run(spec: Spec = SPEC) -> Run:
    losses = np.random.default_rng(0).lognormal(size=spec.shape).astype(np.float32)
    return Run(
        spec, losses, losses[0, :3], {"revision": "abc", "dirty": False, "seconds": 1.5}, np.array([0.5, 0.25, 1.0])
    )


def line(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    before = run()
    before.losses[1, 2:] = np.nan, np.inf, -np.inf
    path = Store(tmp_path).write(before)
    assert path == path_of(tmp_path, SPEC)
    after = Store(tmp_path).find(SPEC)
    assert after is not None
    assert after.spec == before.spec
    np.testing.assert_array_equal(after.losses, before.losses)
    np.testing.assert_array_equal(after.probe, before.probe)
    np.testing.assert_array_equal(after.accuracy, before.accuracy)
    assert after.record == before.record
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(("keep_last", "mean", "shape"), [(2, False, (3, 2)), (2, True, (1, 1)), (None, False, (3, 5))])
def test_only_what_the_spec_keeps_is_there(
    tmp_path: Path, keep_last: int | None, mean: bool, shape: tuple[int, int]
) -> None:
    spec = replace(SPEC, keep_last=keep_last, mean=mean)
    found = read(Store(tmp_path).write(run(spec)))
    assert found.losses.shape == shape
    assert found.steps[-1] == 4


def test_any_reader_of_parquet_can_read_it(tmp_path: Path) -> None:
    frame = pd.read_parquet(Store(tmp_path).write(run()))
    assert list(frame.columns) == ["problem", "step", "loss"]
    assert len(frame) == 15


def test_a_mean_that_is_not_finite_counts_as_infinite() -> None:
    losses = np.array([[1.0, np.nan]], np.float32)
    assert Run(SPEC, losses, losses[0]).final == np.inf


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, seed=1),
        replace(SPEC, problems=4),
        replace(SPEC, steps=5),
        replace(SPEC, stream="validation"),
        replace(SPEC, optimizee={"_target_": "Quadratic", "dimension": 3}),
        replace(SPEC, optimizer={"_target_": "NAG", "learning_rate": 0.1}),
        SPEC.with_rate(0.2),
    ],
)
def test_another_spec_is_another_run(tmp_path: Path, other: Spec) -> None:
    Store(tmp_path).write(run())
    assert Store(tmp_path).find(other) is None


def test_what_changes_no_loss_changes_no_name() -> None:
    plain: dict[str, Any] = {"_target_": "Net", "data": {"_target_": "load", "directory": "data", "split": "test"}}
    compiled = {**plain, "compile": True, "data": {**plain["data"], "directory": "/elsewhere"}}
    assert canonical_optimizee(plain) == canonical_optimizee(compiled)
    assert SPEC.with_rate(10 ** (-3 / 4)) == SPEC.with_rate(0.1778279410038923 * (1 + 1e-15))


def test_an_other_folder_is_read_but_never_written(tmp_path: Path) -> None:
    stored = Store(tmp_path / "stored").write(run())
    store = Store(tmp_path / "own", [tmp_path / "stored"])
    before = stored.read_bytes()
    assert store.find(SPEC) is not None
    store.write(replace(run(), losses=np.zeros(SPEC.shape, np.float32)))
    assert stored.read_bytes() == before
    found = store.find(SPEC)
    assert found is not None
    assert (found.losses == 0).all()


CONTENT = encode(run())


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, place: int, change: int) -> None:
    path = path_of(tmp_path_factory.getbasetemp(), SPEC)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(CONTENT[:place] + bytes([CONTENT[place] ^ change]) + CONTENT[place + 1 :])
    assert path.name in line(lambda: read(path))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, len(CONTENT) - 1))
def test_a_file_that_was_cut_short_is_refused(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = path_of(tmp_path_factory.getbasetemp(), SPEC)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(CONTENT[:length])
    assert path.name in line(lambda: read(path))


def with_table(change: Callable[[pd.DataFrame], pd.DataFrame]) -> bytes:
    """A file with a right checksum and record, but another table."""
    from unittest.mock import patch

    table = pa.Table.from_pandas(change(pq.read_table(io.BytesIO(CONTENT)).to_pandas()), preserve_index=False)
    with patch("experiments.results.store.pa.table", lambda _: table):
        return encode(run())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.iloc[1:], "is not a run's file"),
        (lambda table: table.iloc[:0], "is not a run's file"),
        (lambda table: table.iloc[[1, *range(1, 15)]], "lacks some problems or steps"),
        (lambda table: table.iloc[::-1], "lacks some problems or steps"),
        (lambda table: table.rename(columns={"step": "time"}), "is not a run's file"),
    ],
)
def test_rows_that_are_missing_doubled_or_out_of_order_are_refused(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    path = path_of(tmp_path, SPEC)
    path.parent.mkdir()
    path.write_bytes(with_table(change))
    assert said in line(lambda: read(path))


def test_another_runs_file_is_refused(tmp_path: Path) -> None:
    other = Store(tmp_path).write(run(replace(SPEC, seed=1)))
    other.rename(path_of(tmp_path, SPEC))
    assert "not the one that its name says" in line(lambda: Store(tmp_path).find(SPEC))


def test_a_folder_in_the_place_of_a_file_is_one_line(tmp_path: Path) -> None:
    path_of(tmp_path, SPEC).mkdir(parents=True)
    assert "is a folder, must be a file" in line(lambda: Store(tmp_path).find(SPEC))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    assert "cannot be written" in line(lambda: Store(tmp_path).write(run()))


def test_a_killed_write_leaves_the_old_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Store(tmp_path).write(run())
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert "No space left" in line(lambda: Store(tmp_path).write(replace(run(), losses=run().losses * 2)))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
