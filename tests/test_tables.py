"""Statistics on cases with known answers, and verdicts on constructed curves."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments.reports import tables
from experiments.reports.intervals import (
    Array,
    Window,
    loss_table,
    mean_interval,
    paired_difference,
    problem_losses,
    unpaired_difference,
)
from experiments.results.store import write_curves, write_table
from l2l_tf.errors import InputError

ROOT = Path(__file__).parent.parent
BASELINES = {"SGD": 1.0, "NAG": 0.5}


def panel(name: str, levels: Mapping[str, float], steps: range, seeds: int = 20, spread: float = 0.02) -> pd.DataFrame:
    """Constant losses with noise of the problem, shared by all optimizers, and of the optimizer."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=seeds) * spread
    frames = []
    for optimizer, level in levels.items():
        each = level + shared + rng.normal(size=seeds) * spread / 10
        frames.append(
            pd.DataFrame(
                {
                    "experiment": "test",
                    "panel": name,
                    "optimizee": "net",
                    "optimizer": optimizer,
                    "seed": np.repeat(np.arange(seeds), len(steps)),
                    "step": np.tile(np.array(steps), seeds),
                    "loss": np.repeat(each, len(steps)),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def spoil(curves: pd.DataFrame, optimizer: str, value: float, seed: int = 3, first: int = 95) -> pd.DataFrame:
    where = (curves["optimizer"] == optimizer) & (curves["seed"] == seed) & (curves["step"] >= first)
    return curves.assign(loss=curves["loss"].mask(where, value))


def claim(panels: Mapping[str, pd.DataFrame], name: str) -> dict[str, Any]:
    table = tables.claims_table(panels)
    (row,) = table[table["claim"] == name].to_dict("records")
    return {str(column): value for column, value in row.items()}


# Statistics


def test_interval_covers_a_normal_mean() -> None:
    samples = np.random.default_rng(1).normal(3.0, 2.0, size=(60, 500))
    interval = mean_interval(samples, resamples=1_000)
    covered = ((interval.low <= 3.0) & (interval.high >= 3.0)).mean()
    assert 0.90 < covered < 0.98
    half_width = (interval.high - interval.low).mean() / 2
    assert half_width == pytest.approx(1.96 * 2.0 / np.sqrt(60), rel=0.05)


def test_interval_without_spread_is_the_mean_and_one_problem_has_none() -> None:
    flat = mean_interval(np.full(10, 0.25))
    assert flat.low == pytest.approx(0.25)
    assert flat.high == pytest.approx(0.25)
    single = mean_interval(np.array([0.25]))
    assert single.mean == 0.25
    assert np.isnan([single.low, single.high]).all()


def test_interval_of_positive_losses_is_positive() -> None:
    interval = mean_interval(np.random.default_rng(0).lognormal(sigma=3.0, size=(5, 100)))
    assert (interval.low > 0).all()


def test_interval_is_seeded_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(7, 3))
    before = mean_interval(values)
    monkeypatch.setattr("experiments.reports.intervals.CHUNK", 100)
    after = mean_interval(values)
    np.testing.assert_allclose(before.low, after.low)
    np.testing.assert_allclose(before.high, after.high)


@pytest.mark.parametrize(
    ("bad", "mean", "high"),
    [([np.inf], np.inf, np.inf), ([-np.inf], -np.inf, None), ([np.inf, -np.inf], np.nan, np.nan)],
)
def test_infinite_values_are_never_dropped(bad: list[float], mean: float, high: float | None) -> None:
    values: Array = np.array([*bad, *np.linspace(0.0, 1.0, 18)])
    interval = mean_interval(values)
    np.testing.assert_equal(float(interval.mean), mean)
    if high is None:  # some resamples leave the infinite value out
        assert 0 < interval.high < 1
        assert interval.low == -np.inf
    else:
        np.testing.assert_equal(float(interval.high), high)


def test_pairing_removes_what_problems_share() -> None:
    rng = np.random.default_rng(0)
    problem = rng.normal(size=200) * 10
    first, second = problem + rng.normal(size=200) * 0.1 - 1.0, problem + rng.normal(size=200) * 0.1
    paired, unpaired = paired_difference(first, second), unpaired_difference(first, second)
    assert paired.mean == pytest.approx(unpaired.mean)
    assert paired.low < -1.0 + 0.05
    assert paired.high < -0.9
    assert unpaired.low < -2
    assert unpaired.high > 0


def test_loss_table_wants_paired_complete_runs() -> None:
    curves = panel("4-left", {"LSTM": 0.1} | BASELINES, range(1, 4), seeds=5)
    assert loss_table(curves.sample(frac=1, random_state=0)).shape == (15, 3)
    with pytest.raises(InputError, match="same seeds and steps"):
        loss_table(curves.iloc[1:])
    with pytest.raises(InputError, match="same seeds and steps"):
        loss_table(curves[(curves["optimizer"] != "SGD") | (curves["seed"] != 2)])
    with pytest.raises(InputError, match="there twice"):
        loss_table(pd.concat([curves, curves.iloc[:1]]))
    with pytest.raises(InputError, match="panel 4-left: lacks some of the steps 1-100"):
        problem_losses(curves, Window(1, 100))


def test_windows_measure() -> None:
    curves = panel("x", {"LSTM": np.e, "SGD": 1.0}, range(1, 11), seeds=2, spread=0.0)
    assert problem_losses(curves, Window(1, 10, log=True)).loc[0].to_dict() == pytest.approx({"LSTM": 1.0, "SGD": 0.0})
    curves["loss"] *= curves["step"]
    assert problem_losses(curves, Window(9, 10)).loc[1, "SGD"] == pytest.approx(9.5)
    assert problem_losses(curves, Window(10, 10)).loc[1, "SGD"] == pytest.approx(10.0)


# Verdicts


@pytest.mark.parametrize(
    ("name", "learned", "verdict"),
    [
        ("4-centre", 0.3, "reproduced"),
        ("4-centre", 0.7, "not reproduced"),
        ("4-centre", 0.5, "not reproduced"),
        ("5-right", 0.3, "not reproduced"),
        ("5-right", 0.7, "reproduced"),
        ("5-right", 0.5, "not reproduced"),
    ],
)
def test_win_loss_and_tie(name: str, learned: float, verdict: str) -> None:
    curves = panel(name, {"LSTM": learned} | BASELINES, range(91, 101))
    if learned == 0.5:  # an exact tie
        nag = curves.loc[curves["optimizer"] == "NAG", "loss"].to_numpy()
        curves.loc[curves["optimizer"] == "LSTM", "loss"] = nag
    row = claim({name: curves}, name)
    assert row["verdict"] == verdict
    assert row["best_baseline_name"] == "NAG"
    assert row["difference"] == pytest.approx(row["learned"] - row["best_baseline"])
    assert row["ci_low"] <= row["difference"] <= row["ci_high"]
    assert row["n"] == 20


def test_a_diverged_baseline_cannot_be_the_best() -> None:
    curves = spoil(panel("4-centre", {"LSTM": 0.7} | BASELINES, range(91, 101)), "NAG", np.nan)
    row = claim({"4-centre": curves}, "4-centre")
    assert row["best_baseline_name"] == "SGD"
    assert row["verdict"] == "reproduced"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_diverged_lstm_cannot_win_but_does_lose(value: float) -> None:
    steps = range(91, 101)
    levels = {"LSTM": 0.1} | BASELINES
    row = claim({"4-centre": spoil(panel("4-centre", levels, steps), "LSTM", value)}, "4-centre")
    assert row["verdict"] == "not reproduced"
    assert row["learned"] == row["difference"] == np.inf
    failed = panel("5-right", {"LSTM": 2.0} | BASELINES, steps)
    assert claim({"5-right": spoil(failed, "LSTM", value)}, "5-right")["verdict"] == "reproduced"


def test_where_everything_diverges_nothing_is_reproduced() -> None:
    for name in ("4-centre", "5-right"):
        curves = panel(name, {"LSTM": 0.1} | BASELINES, range(91, 101))
        for optimizer in ("LSTM", "SGD", "NAG"):
            curves = spoil(curves, optimizer, np.nan)
        assert claim({name: curves}, name)["verdict"] == "not reproduced"


def test_one_problem_decides_nothing() -> None:
    curves = panel("4-centre", {"LSTM": 0.1} | BASELINES, range(91, 101), seeds=1)
    assert claim({"4-centre": curves}, "4-centre")["verdict"] == "not reproduced"


def figure_6(learned: list[float]) -> pd.DataFrame:
    sizes = [
        panel("6-1-layer", {"LSTM": level} | BASELINES, range(91, 101)).assign(layers=1, units=10 * (i + 1))
        for i, level in enumerate(learned)
    ]
    return pd.concat(sizes, ignore_index=True)


@pytest.mark.parametrize(
    ("learned", "won", "verdict"),
    [
        ([0.3, 0.3, 0.6], 2, "reproduced"),
        ([0.1, 0.6, 0.6], 1, "not reproduced"),  # lower on the average, but not in most
        ([0.4, 0.4, 2.0], 2, "not reproduced"),  # lower in most, but not on the average
    ],
)
def test_most_architectures(learned: list[float], won: int, verdict: str) -> None:
    row = claim({"6-1-layer": figure_6(learned)}, "6-1-layer")
    assert row["verdict"] == verdict
    assert f"below every baseline in {won} of 3" in row["metric"]
    assert row["best_baseline_name"] == "NAG in 3"
    assert row["learned"] == pytest.approx(np.mean(learned), abs=0.05)


def test_architectures_must_share_their_problems() -> None:
    curves = figure_6([0.3, 0.3])
    uneven = curves[(curves["units"] == 10) | (curves["seed"] > 0)]
    with pytest.raises(InputError, match="not all run with the same seeds and optimizers"):
        tables.claims_table({"6-1-layer": uneven})


def cifar(name: str, learned: float, sub: float | None = None) -> pd.DataFrame:
    levels = {"LSTM": learned} | ({} if sub is None else {"LSTM-sub": sub}) | BASELINES
    return panel(name, levels, range(1, 1001), seeds=10)


def test_cifar_claims() -> None:
    panels = {"7-left": cifar("7-left", 0.45), "7-centre": cifar("7-centre", 0.3, 0.305)}
    verdicts = tables.claims_table(panels).set_index("claim")["verdict"].to_dict()
    assert verdicts == dict.fromkeys(
        [
            "7-left-step-100",
            "7-left-final",
            "7-left-area",
            "7-centre-final",
            "7-centre-area",
            "7-centre-lead",
            "7-centre-sub",
        ],
        "reproduced",
    )
    lead = claim(panels, "7-centre-lead")
    assert lead["difference"] == pytest.approx(np.log(0.3 / 0.45), abs=0.02)


def test_smaller_lead_and_worse_sub() -> None:
    panels = {"7-left": cifar("7-left", 0.3), "7-right": cifar("7-right", 0.45, 0.49)}
    assert claim(panels, "7-right-lead")["verdict"] == "not reproduced"
    sub = claim(panels, "7-right-sub")
    assert sub["verdict"] == "not reproduced"
    assert sub["best_baseline_name"] == "LSTM"
    assert sub["difference"] == pytest.approx(0.04, abs=0.005)


def single(level: float) -> pd.DataFrame:
    """The panel of the single LSTM: no baselines, for it has the problems of 7-left."""
    return panel("cifar10-single", {"LSTM-single": level}, range(1, 1001), seeds=10)


@pytest.mark.parametrize(("level", "verdict"), [(0.4, "reproduced"), (0.3, "not reproduced"), (0.2, "not reproduced")])
def test_a_single_lstm_is_held_against_the_two(level: float, verdict: str) -> None:
    panels = {"7-left": cifar("7-left", 0.3), "cifar10-single": single(level)}
    if level == 0.3:  # an exact tie
        panels["cifar10-single"]["loss"] = panels["7-left"].query("optimizer == 'LSTM'")["loss"].to_numpy()
    final, area = claim(panels, "7-left-single-final"), claim(panels, "7-left-single-area")
    assert final["verdict"] == area["verdict"] == verdict
    assert final["best_baseline_name"] == "LSTM"
    assert final["difference"] == pytest.approx(level - 0.3, abs=0.02)
    assert area["difference"] == pytest.approx(np.log(level / 0.3), abs=0.05)


def test_the_single_lstm_must_have_run_on_the_problems_of_the_two() -> None:
    fewer = single(0.4).query("seed < 9")
    with pytest.raises(InputError, match="not all run on the same seeds and steps"):
        tables.claims_table({"7-left": cifar("7-left", 0.3), "cifar10-single": fewer})


def test_final_loss_at_1000_steps_is_the_mean_of_the_last_100() -> None:
    panels = {"7-left": cifar("7-left", 0.3), "cifar10-single": single(0.4)}
    assert set(tables.final_loss_table(panels, {})["window"]) == {"mean loss over steps 901-1000"}


def test_the_median_does_not_see_one_bad_problem() -> None:
    curves = spoil(panel("4-centre", {"LSTM": 0.3} | BASELINES, range(101)), "NAG", 1000.0, first=0)
    row = tables.final_loss_table({"4-centre": curves}, {}).set_index("optimizer").loc["NAG"]
    assert row["mean"] > 50
    assert abs(row["median"] - 0.5) < 0.05


# Transfer


def test_transfer_stands_beside_the_baselines_of_the_same_problems() -> None:
    home = panel("4-centre", {"LSTM": 0.3} | BASELINES, range(101))
    guest = panel("transfer-mnist", {"LSTM-CIFAR-10": 0.6}, range(101))
    rates = pd.DataFrame({"optimizee": "net", "optimizer": ["SGD", "NAG"], "learning_rate": [3.0, 1.0], "chosen": True})
    table = tables.transfer_table({"4-centre": home, "transfer-mnist": guest}, {"4-centre": rates})
    assert set(table["panel"]) == {"transfer-mnist"}
    assert set(table["best_baseline"]) == {"NAG"}
    rows = table.set_index("optimizer")
    assert set(rows.index) == {"LSTM", "LSTM-CIFAR-10", "SGD", "NAG"}
    assert rows["difference"].round(1).to_dict() == {"LSTM": -0.2, "LSTM-CIFAR-10": 0.1, "SGD": 0.5, "NAG": 0.0}
    assert rows["difference_high"].to_dict()["LSTM"] < 0 < rows["difference_low"].to_dict()["LSTM-CIFAR-10"]
    assert rows["learning_rate"].dropna().to_dict() == {"SGD": 3.0, "NAG": 1.0}
    assert (rows["ci_low"] <= rows["mean"]).all()


def test_transfer_of_a_diverging_optimizer_is_infinite() -> None:
    home = panel("4-centre", {"LSTM": 0.3} | BASELINES, range(101))
    guest = spoil(panel("transfer-mnist", {"LSTM-CIFAR-10": 0.6}, range(101)), "LSTM-CIFAR-10", np.nan)
    table = tables.transfer_table({"4-centre": home, "transfer-mnist": guest}, {})
    row = table[table["optimizer"] == "LSTM-CIFAR-10"].iloc[0]
    assert (row["mean"], row["difference"], row["diverged"]) == (np.inf, np.inf, 1)


def test_transfer_needs_both_panels_and_the_same_problems() -> None:
    home = panel("4-centre", {"LSTM": 0.3} | BASELINES, range(101))
    guest = panel("transfer-mnist", {"LSTM-CIFAR-10": 0.6}, range(101), seeds=5)
    assert tables.transfer_table({"4-centre": home}, {}).empty
    assert tables.transfer_table({"transfer-mnist": guest}, {}).empty
    with pytest.raises(InputError, match="panel transfer-mnist: the optimizers were not all run on the same seeds"):
        tables.transfer_table({"4-centre": home, "transfer-mnist": guest}, {})


def test_main_writes_the_transfer_table_when_its_curves_are_stored(tmp_path: Path) -> None:
    store(tmp_path, panel("7-left", {"LSTM": 0.3} | BASELINES, range(1, 1001), seeds=5))
    assert "transfer.csv" not in [path.name for path in tables.main(tmp_path)]
    store(tmp_path, panel("transfer-cifar10", {"LSTM-MNIST": 0.6}, range(1, 1001), seeds=5))
    written = {path.name: path for path in tables.main(tmp_path)}
    assert set(pd.read_csv(written["transfer.csv"])["optimizer"]) == {"LSTM", "LSTM-MNIST", "NAG", "SGD"}


def test_lead_and_sub_are_skipped_where_curves_are_missing() -> None:
    names = set(tables.claims_table({"7-centre": cifar("7-centre", 0.3)})["claim"])
    assert names == {"7-centre-final", "7-centre-area"}


def test_beyond_1000() -> None:
    curves = panel("beyond-1000", {"LSTM": 0.3, "LSTM-long": 0.3} | BASELINES, range(1, 1001), seeds=10)
    curves["loss"] *= 1 + 100 / curves["step"]
    assert set(tables.claims_table({"beyond-1000": curves})["verdict"]) == {"reproduced"}
    for value in (np.nan, 1e6):  # not finite, or worse at the end than at the start
        spoiled = {"beyond-1000": spoil(curves, "LSTM", value, first=900)}
        row = claim(spoiled, "beyond-1000-LSTM")
        assert row["verdict"] == "not reproduced"
        assert "diverged on 1 of 10 problems" in row["metric"]
        assert claim(spoiled, "beyond-1000-LSTM-long")["verdict"] == "reproduced"


def test_a_panel_without_the_two_sides_says_so() -> None:
    curves = panel("4-centre", BASELINES, range(91, 101))
    with pytest.raises(InputError, match="panel 4-centre: needs the LSTM and a baseline, has SGD, NAG"):
        tables.claims_table({"4-centre": curves})


# Files


def store(results: Path, curves: pd.DataFrame) -> None:
    write_curves(results / "curves" / f"{curves['panel'].iloc[0]}.parquet", curves, {})


def test_main_writes_the_tables(tmp_path: Path) -> None:
    store(tmp_path, spoil(panel("4-left", {"LSTM": 0.1} | BASELINES, range(1, 101)), "SGD", np.nan))
    store(tmp_path, figure_6([0.3, 0.3, 0.6]))
    store(tmp_path, panel("8-left", {"LSTM": 0.1} | BASELINES, range(1, 129)))
    rates = {"optimizee": "net", "optimizer": ["SGD", "SGD", "NAG"], "learning_rate": [0.1, 0.3, 0.01], "loss": 1.0}
    tuning = pd.DataFrame(rates | {"chosen": [False, True, True], "n": 10})
    write_table(tmp_path / "tuning" / "4-left", tuning, parquet=True)
    paths = tables.main(tmp_path)
    assert [path.name for path in paths] == ["claims.csv", "claims.md", "final_loss.csv"]

    claims = pd.read_csv(paths[0])
    wanted = "claim, figure, statement, metric, learned, best_baseline, best_baseline_name, difference, ci_low, ci_high"
    assert list(claims.columns) == [*wanted.split(", "), "n", "verdict"]
    assert list(claims["figure"]) == ["4-left", "6-1-layer"]
    assert tables.RULE in paths[1].read_text()
    assert paths[1].read_text().count("\n| ") == 2 + len(claims)

    final = pd.read_csv(paths[2])
    left = final[final["panel"] == "4-left"].set_index("optimizer")
    assert left["learning_rate"].dropna().to_dict() == {"SGD": 0.3, "NAG": 0.01}
    assert left["diverged"].to_dict() == {"LSTM": 0, "NAG": 0, "SGD": 1}
    assert left.loc["SGD", "mean"] == np.inf
    assert len(final[final["panel"] == "6-1-layer"]) == 9
    assert set(final.loc[final["panel"] == "8-left", "window"]) == {"mean loss over steps 119-128"}


def test_tuned_rates_of_architectures(tmp_path: Path) -> None:
    curves = figure_6([0.3, 0.3])
    keys = {"optimizee": "net", "optimizer": "SGD", "layers": 1, "units": [10, 20]}
    rates = pd.DataFrame(keys | {"learning_rate": [0.1, 0.2], "chosen": True})
    table = tables.final_loss_table({"6-1-layer": curves}, {"6-1-layer": rates})
    sgd = table[table["optimizer"] == "SGD"]
    assert list(zip(sgd["units"], sgd["learning_rate"], strict=True)) == [(10, 0.1), (20, 0.2)]
    with pytest.raises(InputError, match="two learning rates"):
        tables.final_loss_table({"6-1-layer": curves}, {"6-1-layer": rates.drop(columns=["layers", "units"])})


def test_no_results_give_empty_tables(tmp_path: Path) -> None:
    assert pd.read_csv(tables.main(tmp_path)[0]).empty


def test_a_bad_file_ends_the_command_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "curves").mkdir()
    (tmp_path / "curves" / "4-left.parquet").write_text("no")
    command = [sys.executable, "-m", "experiments.reports.tables", "--results", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "not a Parquet file" in run.stderr
