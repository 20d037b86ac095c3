"""The paper's own curves: read with our counting of steps, and put beside ours."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stored import changed, panel_runs

from experiments.calibration.nearest import nearest, summary
from experiments.composition.panel import compose_panel
from experiments.reports.claims_page import at_a_glance
from experiments.reports.figures import curves, figure_6
from experiments.reports.intervals import paired_ratio
from experiments.reports.paper import distance, paper_curves, paper_figure_6
from experiments.reports.paper_tables import paper_leads, paper_markdown, paper_table
from l2l_tf.errors import InputError

OPTIMIZERS = {"LSTM": 1.0, "SGD": 1.0, "RMSprop": 1.0, "ADAM": 1.0, "NAG": 1.0}


def test_baselines_start_at_theta_0_and_the_lstm_one_step_later() -> None:
    curves = paper_curves("4-left-uniform").groupby("optimizer").step.agg(["min", "max"])
    assert list(curves.loc["ADAM"]) == [0, 99]
    assert list(curves.loc["LSTM"]) == [1, 100]
    assert paper_curves("7-left").step.min() == 10
    assert paper_curves("4-left").empty  # Gaussian quadratics, which the paper does not draw


def test_panels_on_training_images_stand_beside_the_same_curves_with_the_same_rates() -> None:
    here, there = compose_panel("figure_5_left"), compose_panel("figure_5_left_train")
    assert paper_curves(there.name).equals(paper_curves(here.name))
    assert (here.base["data"]["split"], there.base["data"]["split"]) == ("test", "train")
    assert here.tuning_optimizee(here.base) == there.tuning_optimizee(there.base)


def test_all_quadratics_start_at_ten_thirds() -> None:
    curves = paper_curves("4-left-uniform")
    np.testing.assert_allclose(curves.loss[curves.step == 0], 10 / 3, rtol=0.01)


def test_distance_is_the_mean_log_ratio_over_common_steps() -> None:
    paper = pd.DataFrame({"step": [0, 1, 2], "loss": [1.0, 1.0, 1.0]})
    assert distance(np.array([1, 2, 3]), np.array([10.0, 0.1, 7.0]), paper) == pytest.approx(1.0)


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"figure_6\.csv: must be the paper's data"):
        paper_figure_6(tmp_path)


def test_the_ratio_of_means_is_resampled_in_pairs() -> None:
    second = np.array([1.0, 2.0, 5.0])
    ratio = paired_ratio(0.5 * second, second)
    assert (float(ratio.mean), float(ratio.low), float(ratio.high)) == (0.5, 0.5, 0.5)


def test_our_losses_stand_beside_the_papers_at_its_last_step() -> None:
    runs = panel_runs("figure_4_centre", OPTIMIZERS, problems=3)
    for place, name in enumerate(OPTIMIZERS):
        runs = changed(runs, name, lambda losses, at=place + 1.0: np.full_like(losses, at))
    table = paper_table({"figure_4_centre": runs}).set_index("optimizer")
    assert list(table.loc["LSTM", ["panel", "step", "paper_loss", "loss"]]) == ["4-centre", 100, 0.24486, 1.0]
    assert list(table.loc["ADAM", ["step", "loss"]]) == [99, 4.0]
    assert table.ratio["LSTM"] == pytest.approx(1 / 0.24486)
    leads = paper_leads({"figure_4_centre": runs})
    assert leads.lead.item() == pytest.approx(0.5)  # SGD is the best baseline
    assert leads.paper_lead.item() == pytest.approx(0.24486 / 0.32358)
    assert "| 4-centre | 0.7567 | 0.5 | 0.5 | 0.5 |" in paper_markdown(paper_table({}), leads)
    assert paper_leads({"figure_4_centre": panel_runs("figure_4_centre", {"LSTM": 1.0, "NAG": 1.0})}).empty


def test_figure_6_has_nag_at_step_200_and_the_others_at_100() -> None:
    stored = {
        key: panel_runs(key, dict.fromkeys(names, 1.0), problems=2)
        for key, names in {"figure_6_1_layer": ("LSTM", "ADAM", "NAG"), "figure_6_1_layer_200": ("NAG",)}.items()
    }
    table = paper_table(stored)
    assert set(zip(table.optimizer, table.step, strict=True)) == {("LSTM", 100), ("ADAM", 100), ("NAG", 200)}
    assert len(table) == 30


@pytest.mark.parametrize("paper", [True, False])
def test_figures_are_drawn_with_and_without_the_papers_lines(tmp_path: Path, paper: bool) -> None:
    quadratics = panel_runs("figure_4_left_uniform", OPTIMIZERS, problems=2)
    sizes = panel_runs("figure_6_2_layer", {"LSTM": 1.0, "ADAM": 1.0, "NAG": 1.0}, problems=2)
    assert len(curves.FIGURE_4.draw(tmp_path, {"figure_4_left_uniform": quadratics}, paper)) == 2
    assert len(figure_6.draw(tmp_path, {"figure_6_2_layer": sizes}, paper)) == 2


def test_the_nearest_deviation_has_the_smallest_mean_distance() -> None:
    distances = pd.DataFrame(
        [(0.1, "4-centre", 0.5), (0.1, "5-left", 0.1), (0.2, "4-centre", 0.2), (0.2, "5-left", 0.3)],
        columns=["deviation", "panel", "distance"],
    )
    assert nearest(distances) == 0.2
    assert summary(distances)["mean"].tolist() == pytest.approx([0.3, 0.25])


def test_the_papers_lstm_sub_stands_beside_its_claim() -> None:
    losses = pd.DataFrame(
        [("7-centre", "LSTM", 0.36), ("7-centre", "LSTM-sub", 0.39), ("7-left", "LSTM", 0.8)],
        columns=["panel", "optimizer", "paper_loss"],
    )
    claims = pd.DataFrame(
        [("7-centre-sub", "hardly worse", "loss", 1.05, 1.0, "LSTM", 0.05, 0.01, 0.09, "reproduced")],
        columns=[
            *("claim", "statement", "metric", "learned", "best_baseline", "best_baseline_name"),
            *("difference", "ci_low", "ci_high", "verdict"),
        ],
    )
    page = at_a_glance(claims, pd.DataFrame(columns=["panel", "paper_lead"]), losses)
    assert "| hardly worse | 1.05 (1.01 to 1.09) | LSTM | 1.08 | reproduced |" in page
