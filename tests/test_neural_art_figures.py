"""Neural art's figures, claims, studies and the stylize command, on made-up results and tiny networks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_networks import images, small_vgg
from PIL import Image
from refusals import refusal
from stored import changed, panel_runs

from experiments import stylize
from experiments.composition.panel import compose_panel
from experiments.neural_art.updates import histories, responses, statistics
from experiments.reports import figures
from experiments.reports.claims import claims_table
from experiments.reports.figures import figure_10
from experiments.reports.paper import in_our_unit
from experiments.reports.paper_tables import paper_leads, paper_table
from experiments.reports.update_claims import update_claims
from experiments.results.queries import PanelRuns
from experiments.results.tables import write_table
from l2l_tf.files import save_arrays
from l2l_tf.optimizers import SGD, Adam
from l2l_tf.serialization.trained import save_optimizer

LSTM_CONFIG = {"_target_": "l2l_tf.optimizers.CoordinatewiseLSTM", "layers": [2], "output_deviation": 4.0}


def art_runs(key: str, ends: dict[str, float]) -> PanelRuns:
    """Curves that fall from 1e8 to where each optimizer ends."""
    runs = panel_runs(key, ends, problems=4)
    for name, end in ends.items():

        def fall(losses: np.ndarray, end: float = end) -> np.ndarray:
            steps = np.arange(losses.shape[1])
            noise = np.random.default_rng(0).normal(size=(len(losses), 1)) * 0.05
            return ((end + 1e8 * np.exp(-steps / 8)) * np.exp(noise)).astype(np.float32)

        runs = changed(runs, name, fall)
    return runs


ENDS = {"LSTM": 5.0e6, "ADAM": 6e6, "RMSprop": 7e6, "SGD": 9e6, "NAG": 8e6}


def test_panels_have_the_papers_problems() -> None:
    left, right = compose_panel("figure_8_left"), compose_panel("figure_8_right")
    assert (left.steps, left.problems, left.base["data"]["size"], left.base["style"]) == (128, 100, 64, "elephants")
    assert (right.steps, right.problems, right.base["data"]["size"], right.base["style"]) == (128, 40, 128, "autumn")
    assert left.learned == right.learned == {"LSTM": "neural_art"}


def test_claims_compare_with_the_best_baseline_its_end_and_each_one() -> None:
    stored = {
        "figure_8_left": art_runs("figure_8_left", ENDS),
        "figure_8_right": art_runs("figure_8_right", ENDS | {"ADAM": 4e6}),
    }
    claims = claims_table(stored).set_index("claim")
    verdicts = {name: verdict == "reproduced" for name, verdict in claims.verdict.items()}
    assert verdicts == {
        "8-left": True,
        "8-left-step-64": True,
        "8-right": False,
        "8-right-ADAM": False,
        "8-right-RMSprop": True,
        "8-right-SGD": True,
        "8-right-NAG": True,
    }
    assert claims.best_baseline_name["8-left-step-64"] == "ADAM"
    leads = paper_leads(stored).set_index("panel")
    assert leads.paper_lead["8-left"] == pytest.approx(0.96, abs=0.01)
    assert leads.lead["8-left"] == pytest.approx(5 / 6, rel=0.01)
    assert paper_table(stored).empty  # in an unknown unit


def test_the_papers_curves_end_where_ours_do() -> None:
    theirs = pd.DataFrame({"optimizer": ["A", "A", "B"], "step": [1, 2, 2], "loss": [9.0, 2.0, 3.0]})
    theirs = theirs.assign(low=theirs.loss, high=theirs.loss)
    ours = pd.DataFrame({"optimizer": ["A", "B"], "step": [5, 5], "loss": [50.0, 40.0]})
    assert in_our_unit(theirs, ours).loss.tolist() == [180.0, 40.0, 60.0]


# Figures


def some_updates(results: Path) -> None:
    """The tables of `updates/` for gradients of noise."""
    optimizers = {"LSTM": Adam(5.0, beta_1=0.1), "ADAM": Adam(1.0), "SGD": SGD(0.01)}
    gradients = np.random.default_rng(0).normal(size=(3, 6, 48)).astype(np.float32)
    write_table(results / "updates/histories", histories(optimizers, gradients[0], 4, [(0, 0, 0), (3, 3, 2)]))
    table = responses(optimizers, gradients[0][:3], 4, [(0, 0, 0), (1, 2, 1)], reach=2.0)
    write_table(results / "updates/responses", table)
    write_table(results / "updates/statistics", statistics(optimizers, gradients))


def test_every_figure_is_drawn_from_stored_results(tmp_path: Path) -> None:
    stored = {key: art_runs(key, ENDS) for key in ("figure_8_left", "figure_8_right")}
    some_updates(tmp_path)
    pictures: dict[str, np.ndarray] = {}
    for panel, size in (("8-left", 8), ("8-right", 16)):
        pictures |= {f"{panel}/{kind}": images(2, size) for kind in ("content", "LSTM", "ADAM")}
        pictures[f"{panel}/style"] = images(1, size)[0]
    save_arrays(tmp_path / "pictures/neural_art.safetensors", pictures)
    written = (path for draw in figures.drawings(tmp_path, stored) for path in draw())
    drawn = [path.stem for path in written if path.suffix == ".png"]
    assert drawn == [
        "figure_10",
        "figure_11",
        "figure_12",
        "figure_9",
        "appendix_c",
        "appendix_c_adam",
        "figure_8",
    ]
    write_table(tmp_path / "updates/histories", pd.DataFrame({"step": [1]}))
    assert "histories.csv: lacks the columns row, column, channel" in refusal(lambda: figure_10.draw(tmp_path, stored))


def test_figure_10s_claims_are_about_size_and_smoothness(tmp_path: Path) -> None:
    assert update_claims(tmp_path).empty
    some_updates(tmp_path)
    claims = update_claims(tmp_path).set_index("claim")
    assert list(claims.index) == ["10-larger-ADAM", "10-less-smooth-ADAM", "10-larger-SGD", "10-less-smooth-SGD"]
    assert claims.verdict["10-larger-ADAM"] == claims.verdict["10-less-smooth-ADAM"] == "reproduced"
    row = claims.loc["10-larger-ADAM"]
    assert row.difference == pytest.approx(np.log(row.learned / row.best_baseline), rel=0.2)


def test_histories_and_responses_are_of_the_named_pixels() -> None:
    gradients = np.arange(2 * 12, dtype=np.float32).reshape(2, 12)
    table = histories({"SGD": SGD(1.0)}, gradients, 2, [(1, 0, 2)])
    assert table["update"].tolist() == [-8.0, -20.0]
    assert table.step.tolist() == [1, 2]
    table = responses({"SGD": SGD(1.0)}, gradients, 2, [(1, 0, 2)], reach=1.0)
    assert table.gradient.max() == 20
    np.testing.assert_allclose(table["update"], -table.gradient)


# The command


def test_stylize_writes_the_picture_and_all_three_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from l2l_tf.optimizers import everything
    from l2l_tf.serialization.trained import build_optimizer, read_variables

    monkeypatch.chdir(tmp_path)
    Image.fromarray(images(1, 40)[0][:30]).save("content.jpg")
    Image.fromarray(images(1, 24)[0]).save("style.png")
    save_arrays(tmp_path / "vgg.safetensors", small_vgg())
    save_optimizer(tmp_path / "trained", LSTM_CONFIG, read_variables(everything(build_optimizer(LSTM_CONFIG))))
    shared = ["--optimizer", "trained", "--features", "vgg.safetensors", "--steps", "3", "--size", "24"]
    stylize.main(["content.jpg", "style.png", "out.png", *shared])
    assert capsys.readouterr().out.split() == ["out.png", "out_beside.png"]
    assert Image.open("out.png").size == (24, 18)
    assert Image.open("out_beside.png").size == (24 + 24 + 18, 18)
    assert "must be an image" in refusal(lambda: stylize.main(["vgg.safetensors", "style.png", "out.png", *shared]))
    assert "out.txt: must end in .png" in refusal(
        lambda: stylize.main(["content.jpg", "style.png", "out.txt", *shared])
    )
    line = refusal(lambda: stylize.main(["content.jpg", "style.png", "out.png", *shared, "--size", "8"]))
    assert line == "size=8: must be an integer of at least 16"
