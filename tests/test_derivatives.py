"""The derivatives by how large an optimizer's updates are: against finite differences, and as stored."""

import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize

from experiments.composition.panel import compose_panel
from experiments.studies import derivatives


def test_exact_derivatives_are_the_finite_differences_and_without_second_derivatives_they_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(derivatives, "FACTOR", 1.01)
    with initialize("../conf", version_base="1.3"):
        config = compose("evaluate", ["experiment=quadratic", "results=results"])
    table = derivatives.study(config, compose_panel("figure_4_left"))
    first = table[table.step == 0].set_index("problem")
    finite, exact, none = (
        first[match].derivative for match in (first.limit.isna(), np.isinf(first.limit), first.limit == 0)
    )
    np.testing.assert_allclose(exact, finite, rtol=0.05, atol=0.01)
    assert np.abs(none - finite).max() > 0.1


def test_the_command_stores_a_row_for_each_problem_step_and_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trained").mkdir()
    os.symlink(Path("results/trained/quadratic").resolve(), tmp_path / "trained" / "quadratic")
    arguments = ["experiment=quadratic", "panel=figure_4_left", f"results={tmp_path}"]
    monkeypatch.setattr(sys, "argv", ["derivatives", *arguments])
    runpy.run_module("experiments.studies.derivatives", run_name="__main__", alter_sys=True)
    table = pd.read_csv(tmp_path / "derivatives" / "4-left.csv")
    assert (tmp_path / "derivatives" / "4-left.provenance.yaml").exists()
    assert len(table) == len(table[["problem", "step", "limit"]].drop_duplicates())
    assert set(table.step) == {0, 60}
    assert set(table.limit.dropna()) == set(derivatives.LIMITS)
    assert np.isfinite(table.derivative).all()
