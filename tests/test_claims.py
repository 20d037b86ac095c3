"""Verdicts and tables on constructed runs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stored import BASELINES, changed, composed, panel_runs, spoiled

from experiments.reports import tables
from experiments.reports.claims import COMPARISONS, Stored, claims_table
from experiments.results.queries import PanelRuns
from l2l_tf.errors import InputError

CENTRE, RIGHT = "figure_4_centre", "figure_5_right"


def claim(stored: Stored, name: str) -> dict[str, Any]:
    table = claims_table(stored)
    (row,) = table[table["claim"] == name].to_dict("records")
    return {str(column): value for column, value in row.items()}


def one(runs: PanelRuns) -> dict[str, PanelRuns]:
    return {runs.panel.key: runs}


@pytest.mark.parametrize(
    ("key", "learned", "verdict"),
    [
        (CENTRE, 0.3, "reproduced"),
        (CENTRE, 0.7, "not reproduced"),
        (CENTRE, 0.5, "not reproduced"),
        (RIGHT, 0.3, "not reproduced"),
        (RIGHT, 0.7, "reproduced"),
        (RIGHT, 0.5, "not reproduced"),
    ],
)
def test_win_loss_and_tie(key: str, learned: float, verdict: str) -> None:
    runs = panel_runs(key, {"LSTM": learned} | BASELINES)
    if learned == 0.5:  # an exact tie
        runs = replace(runs, runs={**runs.runs, "LSTM": runs.runs["NAG"]})
    row = claim(one(runs), runs.panel.name)
    assert row["verdict"] == verdict
    assert row["best_baseline_name"] == "NAG"
    assert row["difference"] == pytest.approx(row["learned"] - row["best_baseline"])
    assert row["ci_low"] <= row["difference"] <= row["ci_high"]
    assert row["n"] == 20


def test_a_diverged_baseline_cannot_be_the_best() -> None:
    row = claim(one(spoiled(panel_runs(CENTRE, {"LSTM": 0.7} | BASELINES), "NAG", np.nan)), "4-centre")
    assert row["best_baseline_name"] == "SGD"
    assert row["verdict"] == "reproduced"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_diverged_lstm_cannot_win_but_does_lose(value: float) -> None:
    row = claim(one(spoiled(panel_runs(CENTRE, {"LSTM": 0.1} | BASELINES), "LSTM", value)), "4-centre")
    assert row["verdict"] == "not reproduced"
    assert row["learned"] == row["difference"] == np.inf
    failed = panel_runs(RIGHT, {"LSTM": 2.0} | BASELINES)
    assert claim(one(spoiled(failed, "LSTM", value)), "5-right")["verdict"] == "reproduced"


def test_where_everything_diverges_nothing_is_reproduced() -> None:
    for key in (CENTRE, RIGHT):
        runs = panel_runs(key, {"LSTM": 0.1} | BASELINES)
        for optimizer in ("LSTM", "SGD", "NAG"):
            runs = spoiled(runs, optimizer, np.nan)
        assert claim(one(runs), runs.panel.name)["verdict"] == "not reproduced"


def test_one_problem_decides_nothing() -> None:
    assert claim(one(panel_runs(CENTRE, {"LSTM": 0.1} | BASELINES, 1)), "4-centre")["verdict"] == "not reproduced"


SIZES = ["++panel.grid={module.units:[10,20,30]}"]


@pytest.mark.parametrize(
    ("learned", "won", "verdict"),
    [
        ([0.3, 0.3, 0.6], 2, "reproduced"),
        ([0.1, 0.6, 0.6], 1, "not reproduced"),  # lower on the average, but not in most
        ([0.4, 0.4, 2.0], 2, "not reproduced"),  # lower in most, but not on the average
    ],
)
def test_most_variations(learned: list[float], won: int, verdict: str) -> None:
    runs = panel_runs(CENTRE, {"LSTM": learned, **BASELINES}, overrides=SIZES)
    wins_most = replace(runs.panel.claims[0], compare="wins_most_variations")
    runs = replace(runs, panel=replace(runs.panel, claims=[wins_most]))
    row = claim(one(runs), "4-centre")
    assert row["verdict"] == verdict
    assert f"below every baseline in {won} of 3" in row["metric"]
    assert row["best_baseline_name"] == "NAG in 3"
    assert row["learned"] == pytest.approx(np.mean(learned), abs=0.05)


def cifar(key: str, learned: float, sub: float | None = None) -> PanelRuns:
    return panel_runs(key, {"LSTM": learned} | ({} if sub is None else {"LSTM-sub": sub}) | BASELINES, 10)


def test_cifar_claims() -> None:
    stored = one(cifar("figure_7_left", 0.45)) | one(cifar("figure_7_centre", 0.3, 0.305))
    verdicts = claims_table(stored).set_index("claim")["verdict"].to_dict()
    left = [f"7-left-{what}" for what in ("step-100", "final", "area")]
    centre = [f"7-centre-{what}" for what in ("final", "area", "lead", "sub")]
    assert verdicts == dict.fromkeys(left + centre, "reproduced")
    assert claim(stored, "7-centre-lead")["difference"] == pytest.approx(np.log(0.3 / 0.45), abs=0.02)


def test_smaller_lead_and_worse_sub() -> None:
    stored = one(cifar("figure_7_left", 0.3)) | one(cifar("figure_7_right", 0.45, 0.51))
    assert claim(stored, "7-right-lead")["verdict"] == "not reproduced"
    sub = claim(stored, "7-right-sub")
    assert sub["verdict"] == "not reproduced"
    assert sub["best_baseline_name"] == "LSTM"
    assert sub["difference"] == pytest.approx(0.06, abs=0.005)


def test_lead_and_sub_are_skipped_where_runs_are_missing() -> None:
    names = set(claims_table(one(cifar("figure_7_centre", 0.3)))["claim"])
    assert names == {"7-centre-final", "7-centre-area"}


def single(level: float, problems: int = 10) -> PanelRuns:
    """The panel of the single LSTM: no baselines, for it has the problems of 7-left."""
    return panel_runs("cifar10_single", {"LSTM-single": level}, problems)


@pytest.mark.parametrize(("level", "verdict"), [(0.4, "reproduced"), (0.3, "not reproduced"), (0.2, "not reproduced")])
def test_a_single_lstm_is_held_against_the_two(level: float, verdict: str) -> None:
    two, alone = cifar("figure_7_left", 0.3), single(level)
    if level == 0.3:  # an exact tie
        alone = replace(alone, runs={"LSTM-single": two.runs["LSTM"]})
    stored = one(two) | one(alone)
    final, area = claim(stored, "7-left-single-final"), claim(stored, "7-left-single-area")
    assert final["verdict"] == area["verdict"] == verdict
    assert final["best_baseline_name"] == "LSTM"
    assert final["difference"] == pytest.approx(level - 0.3, abs=0.02)
    assert area["difference"] == pytest.approx(np.log(level / 0.3), abs=0.05)


def test_the_single_lstm_must_have_run_on_the_problems_of_the_two() -> None:
    with pytest.raises(InputError, match="must have the problems of panel 7-left"):
        claims_table(one(cifar("figure_7_left", 0.3)) | one(single(0.4, 9)))


def test_beyond_1000() -> None:
    runs = panel_runs("beyond_1000", {"LSTM": 0.3, "LSTM-long": 0.3} | BASELINES, 10)
    for name in ("LSTM", "LSTM-long"):
        runs = changed(runs, name, lambda losses: losses * (1 + 100 / (1 + np.arange(1001))))
    assert set(claims_table(one(runs))["verdict"]) == {"reproduced"}
    for value in (np.nan, 1e6):  # not finite, or worse at the end than at the start
        stored = one(spoiled(runs, "LSTM", value))
        row = claim(stored, "beyond-1000-LSTM")
        assert row["verdict"] == "not reproduced"
        assert "diverged on 1 of 10 problems" in row["metric"]
        assert claim(stored, "beyond-1000-LSTM-long")["verdict"] == "reproduced"


def test_a_panel_without_both_sides_makes_no_claim() -> None:
    assert claims_table(one(panel_runs(CENTRE, BASELINES))).empty
    assert claims_table(one(panel_runs(CENTRE, {"LSTM": 0.1}))).empty


def test_every_panel_names_a_comparison_that_exists() -> None:
    from experiments.composition.panel import panel_keys

    for key in panel_keys():
        for found in composed(key).claims:
            assert found.compare in COMPARISONS
            assert found.learned in composed(key).learned


# Final losses.


def test_the_final_loss_is_the_mean_of_the_panels_window() -> None:
    table = tables.final_loss_table(one(cifar("figure_7_left", 0.3)))
    assert set(table["window"]) == {"mean loss over steps 901-1000"}
    assert table.set_index("optimizer")["learning_rate"].dropna().to_dict() == {"SGD": 0.1, "NAG": 0.1}


def test_variations_have_rows_of_their_own() -> None:
    table = tables.final_loss_table(one(panel_runs(CENTRE, {"LSTM": [0.1, 0.2, 0.3], **BASELINES}, overrides=SIZES)))
    assert len(table) == 9
    lstm = table[table["optimizer"] == "LSTM"]
    assert lstm["mean"].round(1).tolist() == [0.1, 0.2, 0.3]
    assert lstm["units"].tolist() == [10, 20, 30]
    assert table[table["optimizer"] == "SGD"]["learning_rate"].round(3).tolist() == [0.1, 0.2, 0.3]


def test_the_median_does_not_see_one_bad_problem() -> None:
    runs = spoiled(panel_runs(CENTRE, {"LSTM": 0.3} | BASELINES), "NAG", 1000.0, last=101)
    row = tables.final_loss_table(one(runs)).set_index("optimizer").loc["NAG"]
    assert row["mean"] > 50
    assert abs(row["median"] - 0.5) < 0.05


def test_accuracies_are_averaged_over_problems() -> None:
    runs = panel_runs(CENTRE, {"LSTM": 0.3}, 2)
    (run,) = runs.runs["LSTM"]
    runs = replace(runs, runs={"LSTM": [replace(run, accuracy=np.array([0.5, 0.7]))]})
    row = tables.accuracy_table(one(runs)).iloc[0]
    assert (row["mean"], row["n"], row["step"]) == (pytest.approx(0.6), 2, 100)
    assert tables.accuracy_table(one(panel_runs(CENTRE, {"LSTM": 0.3}))).empty


# Transfer.


def test_transfer_stands_beside_the_baselines_of_the_same_problems() -> None:
    home = panel_runs(CENTRE, {"LSTM": 0.3} | BASELINES)
    guest = panel_runs("transfer_mnist", {"LSTM-CIFAR-10": 0.6})
    table = tables.transfer_table(one(home) | one(guest))
    assert set(table["panel"]) == {"transfer-mnist"}
    assert set(table["best_baseline"]) == {"NAG"}
    rows = table.set_index("optimizer")
    assert set(rows.index) == {"LSTM", "LSTM-CIFAR-10", "SGD", "NAG"}
    assert rows["difference"].round(1).to_dict() == {"LSTM": -0.2, "LSTM-CIFAR-10": 0.1, "SGD": 0.5, "NAG": 0.0}
    assert rows["difference_high"].to_dict()["LSTM"] < 0 < rows["difference_low"].to_dict()["LSTM-CIFAR-10"]
    assert (rows["ci_low"] <= rows["mean"]).all()


def test_transfer_of_a_diverging_optimizer_is_infinite() -> None:
    guest = spoiled(panel_runs("transfer_mnist", {"LSTM-CIFAR-10": 0.6}), "LSTM-CIFAR-10", np.nan)
    table = tables.transfer_table(one(panel_runs(CENTRE, {"LSTM": 0.3} | BASELINES)) | one(guest))
    row = table[table["optimizer"] == "LSTM-CIFAR-10"].iloc[0]
    assert (row["mean"], row["difference"], row["diverged"]) == (np.inf, np.inf, 1)


def test_transfer_needs_both_panels_and_the_same_problems() -> None:
    home = panel_runs(CENTRE, {"LSTM": 0.3} | BASELINES)
    guest = panel_runs("transfer_mnist", {"LSTM-CIFAR-10": 0.6}, 5)
    assert tables.transfer_table(one(home)).empty
    assert tables.transfer_table(one(guest)).empty
    with pytest.raises(InputError, match="must have the problems and steps of panel=figure_4_centre"):
        tables.transfer_table(one(home) | one(guest))
