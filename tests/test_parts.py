"""An evaluation runs what is left to run: after an interruption, and when one optimizer is trained or tuned anew."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hydra import compose, initialize
from omegaconf import DictConfig

from experiments.composition import panels
from experiments.results import store
from experiments.results.kept import Kept
from experiments.results.parts import Parts
from l2l_tf.errors import InputError
from l2l_tf.evaluation.evaluate import Evaluator
from l2l_tf.optimizers import everything
from l2l_tf.serialization.trained import build_optimizer, read_variables, save_optimizer

FRAME = pd.DataFrame({"step": [0, 1], "loss": [0.5, 0.1]})


def never() -> pd.DataFrame:
    raise AssertionError("made again")


def make() -> pd.DataFrame:
    frame = FRAME.copy()
    frame.attrs["accuracy"] = [0.1]
    return frame


def test_a_part_is_made_once_and_comes_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "7-left.parquet"
    first = Parts(path, {"seed": 0})
    first.get("ADAM", make)
    again = Parts(path, {"seed": 0})
    frame = again.get("ADAM", never)
    pd.testing.assert_frame_equal(frame, FRAME)
    assert frame.attrs == {"accuracy": [0.1]}
    assert again.seconds == first.seconds > 0
    again.clear()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("settings", "label"), [({"seed": 1}, "ADAM"), ({"seed": 0}, "NAG")])
def test_other_settings_and_labels_are_other_parts(tmp_path: Path, settings: dict[str, Any], label: str) -> None:
    path = tmp_path / "7-left.parquet"
    Parts(path, {"seed": 0}).get("ADAM", make)
    with pytest.raises(AssertionError, match="made again"):
        Parts(path, settings).get(label, never)


def quadratic(results: Path, learned: str) -> tuple[DictConfig, panels.Panel]:
    """Figure 4, left, with two problems of two steps."""
    tiny = ["panels.figure_4_left.problems=2", "+panels.figure_4_left.steps=2", "tuning.problems=2"]
    tiny += ["tuning.per_decade=1", f"+panels.figure_4_left.learned={learned}", f"results={results}"]
    with initialize("../conf", version_base="1.3"):
        config = compose("evaluate", ["experiment=quadratic", *tiny])
    (panel,) = panels.select(config)
    return config, panel


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the optimizers that run on test problems, in order."""
    losses: Callable[..., Any] = Evaluator.losses
    names: list[str] = []

    def recorded(evaluator: Evaluator, *arguments: Any) -> Any:
        if len(arguments) == 4:  # with a progress bar: a run on test problems
            names.append(arguments[-1].split()[-1])
        return losses(evaluator, *arguments)

    monkeypatch.setattr(Evaluator, "losses", recorded)
    return names


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch, runs: list[str]) -> None:
    """Interrupts the third run."""
    losses: Callable[..., Any] = Evaluator.losses

    def third(evaluator: Evaluator, *arguments: Any) -> Any:
        result = losses(evaluator, *arguments)
        if len(runs) == 3:
            runs.append("interrupted")
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(Evaluator, "losses", third)


def train(results: Path, name: str, seed: int) -> None:
    lstm = {"_target_": "l2l_tf.optimizers.CoordinatewiseLSTM", "layers": [3], "seed": seed}
    save_optimizer(results / "trained" / name, lstm, read_variables(everything(build_optimizer(lstm))))


@pytest.mark.usefixtures("interrupted")
def test_an_interrupted_evaluation_runs_only_what_is_left(tmp_path: Path, runs: list[str]) -> None:
    config, panel = quadratic(tmp_path, "{}")
    with pytest.raises(KeyboardInterrupt):
        panels.evaluate_panel(config, panel)
    assert not (tmp_path / "curves" / "4-left.parquet").exists()
    curves = store.read_curves(panels.evaluate_panel(config, panel))
    assert runs == ["SGD", "RMSprop", "ADAM", "interrupted", "ADAM", "NAG"]
    assert curves.groupby("optimizer").size().to_dict() == dict.fromkeys(("SGD", "RMSprop", "ADAM", "NAG"), 6)
    assert sorted(path.name for path in (tmp_path / "curves").iterdir()) == ["4-left.parquet", "4-left.provenance.yaml"]


@pytest.mark.usefixtures("interrupted")
def test_an_optimizer_trained_anew_during_an_interruption_runs_anew(tmp_path: Path, runs: list[str]) -> None:
    config, panel = quadratic(tmp_path, "{LSTM: first, LSTM-other: second}")
    config.baselines = {"SGD": config.baselines.SGD}
    train(tmp_path, "first", 0)
    train(tmp_path, "second", 0)
    with pytest.raises(KeyboardInterrupt):
        panels.evaluate_panel(config, panel)
    train(tmp_path, "first", 1)
    panels.evaluate_panel(config, panel)
    assert runs == ["SGD", "LSTM", "LSTM-other", "interrupted", "LSTM", "LSTM-other"]


def evaluated(results: Path, *learned: str, **changes: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The curves of two baselines and the learned optimizers, and their provenance."""
    config, panel = quadratic(results, "{" + ", ".join(f"LSTM-{name}: {name}" for name in learned) + "}")
    config.baselines = {name: config.baselines[name] for name in ("SGD", "NAG")}
    config.merge_with(changes)
    path = panels.evaluate_panel(config, panel)
    return store.read_curves(path), yaml.safe_load(path.with_suffix(".provenance.yaml").read_text())


def test_when_an_optimizer_is_trained_anew_the_stored_runs_of_the_others_are_kept(
    tmp_path: Path, runs: list[str]
) -> None:
    train(tmp_path, "first", 0)
    train(tmp_path, "second", 0)
    before, origin = evaluated(tmp_path, "first", "second")
    assert "kept" not in origin
    train(tmp_path, "second", 1)
    runs.clear()
    after, again = evaluated(tmp_path, "first", "second")
    assert runs == ["LSTM-second"]
    same = before.optimizer != "LSTM-second"
    pd.testing.assert_frame_equal(after[same], before[same])
    assert not np.allclose(after.loss[~same], before.loss[~same])
    here = {key: value for key, value in origin.items() if key not in ("wall_time", "config")}
    assert again["kept"] == dict.fromkeys(("SGD", "NAG", "LSTM-first"), here)
    assert again["config"]["trained"] != origin["config"]["trained"]


def test_what_is_kept_twice_still_says_where_it_came_from(tmp_path: Path, runs: list[str]) -> None:
    train(tmp_path, "first", 0)
    evaluated(tmp_path, "first")
    path = tmp_path / "curves" / "4-left.provenance.yaml"
    path.write_text(path.read_text().replace("date:", "date: the first #"))
    for seed in (1, 2):
        train(tmp_path, "first", seed)
        _, record = evaluated(tmp_path, "first")
    assert {name: kept["date"] for name, kept in record["kept"].items()} == {"SGD": "the first", "NAG": "the first"}
    assert runs == ["SGD", "NAG", "LSTM-first", "LSTM-first", "LSTM-first"]


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({"tuning": {"problems": 3}}, ["SGD", "NAG"]),
        ({"optimizee": {"dimension": 3}}, ["SGD", "NAG", "LSTM-first"]),
        ({"seed": 1}, ["SGD", "NAG", "LSTM-first"]),
    ],
)
def test_only_runs_that_would_come_out_the_same_are_kept(
    changes: dict[str, Any], due: list[str], tmp_path: Path, runs: list[str]
) -> None:
    train(tmp_path, "first", 0)
    evaluated(tmp_path, "first")
    runs.clear()
    evaluated(tmp_path, "first", **changes)
    assert runs == due


@pytest.mark.parametrize("name", ["4-left.parquet", "4-left.provenance.yaml"])
def test_a_damaged_file_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    train(tmp_path, "first", 0)
    evaluated(tmp_path, "first")
    (tmp_path / "curves" / name).write_text("damaged")
    train(tmp_path, "first", 1)
    with pytest.raises(InputError, match=rf"curves/{name}: (cannot be read|no readable record)"):
        evaluated(tmp_path, "first")
    assert (tmp_path / "curves" / name).read_text() == "damaged"


def test_kept_accuracies_stay_with_their_curves(tmp_path: Path) -> None:
    """Of two optimizers of one weight file, `mnist` and its group `mnist:1`, too."""
    settings = {"panel": {"learned": {"LSTM": "mnist", "LSTM-1": "mnist:0"}}, "trained": {"LSTM": "a", "LSTM-1": "a"}}
    origin = {"experiment": "mnist", "panel": "4-centre", "optimizee": "mnist", "seed": [0, 0], "step": [1, 1]}
    names = {"optimizer": ["LSTM", "LSTM-1"]}
    curves, accuracies = tmp_path / "curves" / "4-centre.parquet", tmp_path / "accuracy" / "4-centre.parquet"
    record = {"config": settings, "revision": "abc"}
    store.write_accuracies(accuracies, pd.DataFrame(origin | names | {"accuracy": [0.9, 0.8]}), record)
    store.write_curves(curves, pd.DataFrame(origin | names | {"loss": [0.1, 0.2]}), record)
    now = settings | {"panel": {"learned": {"LSTM": "mnist", "LSTM-1": "mnist:1"}}}
    kept = Kept(curves, accuracies, now)
    assert kept.origins == {"LSTM": {"revision": "abc"}}
    assert kept.curves("LSTM", "mnist").loss.tolist() == [np.float32(0.1)]
    assert [table.accuracy.tolist() for table in kept.accuracies("LSTM", "mnist")] == [[0.9]]
