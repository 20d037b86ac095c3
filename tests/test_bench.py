"""The bench from end to end, in tiny sizes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import call
from tqdm import tqdm

from experiments import bench
from experiments.benchmarks import measure, sampling
from experiments.benchmarks.measure import apart


def take(gib: float) -> int:
    """A task that needs so much memory."""
    return int(np.ones(int(gib * 2**27)).sum())


def test_a_quick_bench_writes_all_its_files(tmp_path: Path) -> None:
    assert call("bench", "quick=true", f"folder={tmp_path}") == ""
    for name in ("engine.md", "engine.png", "engine.provenance.yaml", "sampling.provenance.yaml"):
        assert (tmp_path / name).stat().st_size > 0
    engine = pd.read_csv(tmp_path / "engine.csv")
    assert set(engine.study) == {"optimizees", "coordinates", "unroll"}
    assert (engine[["seconds", "peak_gib"]] > 0).all(axis=None)
    sampling = pd.read_csv(tmp_path / "sampling.csv")
    assert sampling.cosine.between(0.5, 1.0).all()
    assert (sampling.noise > 0).all()


@pytest.mark.parametrize("argument", ["studies=[engines]", "optimizees=[quadratic]"])
def test_a_wrong_name_is_one_line(argument: str) -> None:
    assert call("bench", argument).startswith(f"error: {argument.split('=')[0]}.0=")


def test_memory_that_runs_out_is_one_line_or_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bench, sampling):
        monkeypatch.setattr(module, "apart", lambda *_: None)
    line = call("bench", "studies=[sampling]", "memory_limit=4.0")
    assert line.startswith("error: memory_limit=4.0: is too little for quadratics; must be more, or null for none")
    job = measure.Job("quadratics", (2,), 1, 0.5, 1, ("exact", "autodiff"))
    rows = pd.DataFrame(bench.compare(job, 4.0, tqdm(disable=True)))
    assert list(rows.method) == ["exact", "autodiff"]
    assert rows[["seconds", "peak_gib"]].isna().all(axis=None)


def test_what_does_not_fit_into_memory_is_reported_as_such() -> None:
    assert apart(4.0, take, 0.01) == 0.01 * 2**27 // 1
    assert apart(4.0, take, 8.0) is None
