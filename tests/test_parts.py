"""An evaluation that was interrupted goes on from what it had done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize
from omegaconf import DictConfig

from experiments import panels, store
from experiments.parts import Parts
from l2l_tf.evaluation import Evaluator
from l2l_tf.optimizers import everything
from l2l_tf.trained import build_optimizer, read_variables, save_optimizer

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
    """The names of the optimizers that run on test problems, in order; the third run is interrupted."""
    losses: Callable[..., Any] = Evaluator.losses
    names: list[str] = []

    def interrupted(evaluator: Evaluator, *arguments: Any) -> Any:
        if len(arguments) == 4:  # with a progress bar: a run on test problems
            names.append(arguments[-1].split()[-1])
            if len(names) == 3:
                raise KeyboardInterrupt
        return losses(evaluator, *arguments)

    monkeypatch.setattr(Evaluator, "losses", interrupted)
    return names


def test_an_interrupted_evaluation_runs_only_what_is_left(tmp_path: Path, runs: list[str]) -> None:
    config, panel = quadratic(tmp_path, "{}")
    with pytest.raises(KeyboardInterrupt):
        panels.evaluate_panel(config, panel)
    assert not (tmp_path / "curves" / "4-left.parquet").exists()
    curves = store.read_curves(panels.evaluate_panel(config, panel))
    assert runs == ["SGD", "RMSprop", "ADAM", "ADAM", "NAG"]
    assert curves.groupby("optimizer").size().to_dict() == dict.fromkeys(("SGD", "RMSprop", "ADAM", "NAG"), 6)
    assert sorted(path.name for path in (tmp_path / "curves").iterdir()) == ["4-left.parquet", "4-left.provenance.yaml"]


def test_an_optimizer_trained_anew_runs_anew_and_the_others_do_not(tmp_path: Path, runs: list[str]) -> None:
    config, panel = quadratic(tmp_path, "{LSTM: first, LSTM-other: second}")
    config.baselines = {"SGD": config.baselines.SGD}

    def train(name: str, seed: int) -> None:
        lstm = {"_target_": "l2l_tf.optimizers.CoordinatewiseLSTM", "layers": [3], "seed": seed}
        optimizer = everything(build_optimizer(lstm))
        save_optimizer(tmp_path / "trained" / name, lstm, read_variables(optimizer))

    train("first", 0)
    train("second", 0)
    with pytest.raises(KeyboardInterrupt):
        panels.evaluate_panel(config, panel)
    train("first", 1)
    panels.evaluate_panel(config, panel)
    assert runs == ["SGD", "LSTM", "LSTM-other", "LSTM", "LSTM-other"]
