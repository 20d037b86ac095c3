"""Figures from made-up runs: drawn, repeatable, and without TensorFlow."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from stored import changed, panel_runs

from experiments.reports import figures
from experiments.reports.claims import Stored
from experiments.reports.figures import curves, style
from experiments.results.queries import PanelRuns

ROOT = Path(__file__).parent.parent
OPTIMIZERS = {"LSTM": 5.0, "SGD": 30.0, "RMSprop": 25.0, "ADAM": 20.0, "NAG": 15.0}


def falling(key: str) -> PanelRuns:
    """Decaying losses of four problems; RMSprop diverges on the last one half way."""
    runs = panel_runs(key, OPTIMIZERS, problems=4)
    for name, time in OPTIMIZERS.items():

        def fall(losses: np.ndarray, time: float = time, diverges: bool = name == "RMSprop") -> np.ndarray:
            steps = np.arange(losses.shape[1])
            noise = np.random.default_rng(0).normal(size=losses.shape) * 0.1
            losses = (0.1 + 2 * np.exp(-steps / time)) * np.exp(noise)
            if diverges:
                losses[3, len(steps) // 2 :] = np.nan
            return losses.astype(np.float32)

        runs = changed(runs, name, fall)
    return runs


def drawn(results: Path, stored: Stored) -> list[Path]:
    return [path for draw in figures.drawings(results, stored) for path in draw()]


def test_nothing_stored_draws_nothing(tmp_path: Path) -> None:
    assert drawn(tmp_path, {}) == []
    assert not (tmp_path / "figures").exists()


def test_every_figure_is_written_and_repeatable(tmp_path: Path) -> None:
    keys = ("figure_4_left", "figure_4_right", "figure_5_centre", "figure_6_1_layer", "figure_7_left", "beyond_1000")
    stored = {key: falling(key) for key in keys}
    first = {path: path.read_bytes() for path in drawn(tmp_path, stored)}
    stems = ("figure_4", "figure_5", "figure_6", "figure_7", "beyond_1000")
    assert [path.name for path in first] == [f"{stem}.{kind}" for stem in stems for kind in ("png", "pdf")]
    assert all(len(content) > 5_000 for content in first.values())
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(path.name for path in first)
    assert {path: path.read_bytes() for path in drawn(tmp_path, stored)} == first


def test_the_command_draws_and_tabulates_without_tensorflow(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from experiments.reports.__main__ import write_reports;"
        f"write_reports(Path({str(tmp_path)!r}));"
        "sys.exit(' '.join({'tensorflow', 'sonnet', 'keras'} & set(sys.modules)) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "tables" / "claims.md").is_file()


def test_a_panel_says_what_diverged_and_shows_its_steps() -> None:
    axes = Figure().subplots()
    curves.draw_panel(axes, falling("figure_4_right"), first_step=100)
    assert axes.get_title() == "MNIST, 200 steps"
    assert axes.get_xlabel() == "Step\n(RMSprop diverged on 1 of 4 problems)"
    assert axes.get_xlim() == (100, 200)
    assert axes.get_yscale() == "log"


def test_learned_is_solid_and_baselines_are_dashed() -> None:
    assert style.look("LSTM", True)["linestyle"] == style.look("new", True)["linestyle"] == "-"
    assert all(style.look(name, False)["linestyle"] != "-" for name in ("SGD", "RMSprop", "ADAM", "NAG", "another"))
    shown = panel_runs("figure_7_left", {"NAG": 1.0, "LSTM-sub": 1.0, "SGD": 1.0, "LSTM": 1.0})
    assert list(style.ordered([shown])) == ["LSTM", "LSTM-sub", "SGD", "NAG"]


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
