"""Figures from synthetic results: drawn, repeatable, and without TensorFlow."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.reports.figures import curves, style
from experiments.reports.figures.__main__ import FIGURES, main
from experiments.results.store import REPOSITORY, write_curves

OPTIMIZERS = {"LSTM": 5.0, "SGD": 30.0, "RMSprop": 25.0, "ADAM": 20.0, "NAG": 15.0}


def store(results: Path, panel: str, steps: range, units: tuple[int, ...] = ()) -> None:
    """Decaying losses of four problems; RMSprop diverges on the last one half way."""
    rng = np.random.default_rng(0)
    t = np.array(steps)
    frames = []
    for size in units or (0,):
        for optimizer, time in OPTIMIZERS.items():
            loss = (0.1 + 2 * np.exp(-t / time)) * np.exp(rng.normal(size=(4, len(t))) * 0.1)
            if optimizer == "RMSprop":
                loss[3, len(t) // 2 :] = np.nan
            rows = {"seed": np.repeat(np.arange(4), len(t)), "step": np.tile(t, 4), "loss": loss.ravel()}
            frames.append(pd.DataFrame(rows).assign(optimizer=optimizer, units=size))
    frame = pd.concat(frames, ignore_index=True).assign(experiment="test", panel=panel, optimizee="net", layers=1)
    frame = frame if units else frame.drop(columns=["units", "layers"])
    write_curves(results / "curves" / f"{panel}.parquet", frame, {})


def test_nothing_stored_draws_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tmp_path) == []
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "figure_4: no results yet, skipped"
    assert len(lines) == len(FIGURES)


def test_every_figure_is_written_and_repeatable(tmp_path: Path) -> None:
    store(tmp_path, "4-left", range(1, 101))
    store(tmp_path, "4-right", range(1, 201))
    store(tmp_path, "5-centre", range(1, 101))
    store(tmp_path, "6-1-layer", range(91, 101), units=(5, 20, 40))
    store(tmp_path, "6-3-layer", range(91, 101), units=(5, 40))
    store(tmp_path, "7-left", range(1, 1001))
    store(tmp_path, "beyond-1000", range(1, 1001))
    first = {path: path.read_bytes() for path in main(tmp_path)}
    stems = ("figure_4", "figure_5", "figure_6", "figure_7", "beyond_1000")
    assert [path.name for path in first] == [f"{stem}.{kind}" for stem in stems for kind in ("png", "pdf")]
    assert all(len(content) > 5_000 for content in first.values())
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(path.name for path in first)
    assert {path: path.read_bytes() for path in main(tmp_path)} == first


def test_the_command_draws_and_tabulates_without_tensorflow(tmp_path: Path) -> None:
    store(tmp_path, "4-left", range(1, 101))
    program = (
        "import sys; from pathlib import Path; import experiments.reports.tables;"
        "import experiments.reports.figures.__main__ as figures;"
        f"results = Path({str(tmp_path)!r}); assert figures.main(results) and experiments.reports.tables.main(results);"
        "sys.exit(' '.join({'tensorflow', 'sonnet', 'keras'} & set(sys.modules)) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_a_bad_file_ends_the_command_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "curves").mkdir()
    (tmp_path / "curves" / "4-left.parquet").write_bytes(b"")
    command = [sys.executable, "-m", "experiments.reports.figures", "--results", str(tmp_path)]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "4-left.parquet" in run.stderr


def test_a_panel_says_what_diverged_and_shows_its_steps(tmp_path: Path) -> None:
    store(tmp_path, "4-right", range(1, 201))
    frame = curves.stored(tmp_path, ["4-right"])["4-right"]
    axes = Figure().subplots()
    curves.draw_panel(axes, curves.Panel("4-right", "MNIST, 200 steps", first_step=100), frame)
    assert axes.get_title() == "MNIST, 200 steps"
    assert axes.get_xlabel() == "Step\n(RMSprop diverged on 1 of 4 problems)"
    assert axes.get_xlim() == (100, 200)
    assert axes.get_yscale() == "log"


def test_learned_is_solid_and_baselines_are_dashed() -> None:
    assert style.look("LSTM")["linestyle"] == style.look("LSTM-new")["linestyle"] == "-"
    assert all(style.look(name)["linestyle"] != "-" for name in ("SGD", "RMSprop", "ADAM", "NAG", "another"))
    assert style.in_order(["NAG", "LSTM-sub", "SGD", "LSTM"]) == ["LSTM", "LSTM-sub", "SGD", "NAG"]


@pytest.mark.parametrize(("low", "high"), [(0.17, 0.42), (0.2, 2.3), (1e-3, 20.0), (1e-12, 1e5), (0.3, 0.3)])
def test_log_axis_has_readable_labels(low: float, high: float) -> None:
    figure = Figure()
    axes = figure.subplots()
    style.log_y(axes, low, high)
    figure.canvas.draw()
    bottom, top = axes.get_ylim()
    ticks = [tick for tick in axes.get_yticks() if bottom <= tick <= top]
    assert 1 <= len(ticks) <= 10
    assert bottom < low <= high < top


def test_long_runs_are_drawn_as_means_of_blocks() -> None:
    np.testing.assert_array_equal(curves.blocks(np.arange(7.0), 3), [2.0, 5.0])
    np.testing.assert_array_equal(curves.blocks(np.arange(4.0), 1), np.arange(4.0))


def test_limits_stop_a_diverging_curve_at_ten_times_the_start() -> None:
    assert curves.limits(np.array([[2.0, 0.5], [1.0, 1e9]])) == (0.5, 20.0)
    assert curves.limits(np.array([[np.inf, np.inf]])) == (0.1, 1.0)
