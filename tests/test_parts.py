"""An evaluation that was interrupted goes on from what it had done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize

from experiments import panels, store
from experiments.parts import Parts
from l2l_tf.evaluation import Evaluator

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


def test_an_interrupted_evaluation_runs_only_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = ["panels.figure_4_left.problems=2", "+panels.figure_4_left.steps=2", "+panels.figure_4_left.learned={}"]
    tiny += ["tuning.problems=2", "tuning.per_decade=1", f"results={tmp_path}"]
    with initialize("../conf", version_base="1.3"):
        config = compose("evaluate", ["experiment=quadratic", *tiny])
    (panel,) = panels.select(config)
    losses: Callable[..., Any] = Evaluator.losses
    runs = []

    def interrupted(evaluator: Evaluator, *arguments: Any) -> Any:
        if len(arguments) == 4:  # with a progress bar: a run on test problems
            runs.append(arguments[-1])
            if len(runs) == 3:
                raise KeyboardInterrupt
        return losses(evaluator, *arguments)

    monkeypatch.setattr(Evaluator, "losses", interrupted)
    with pytest.raises(KeyboardInterrupt):
        panels.evaluate_panel(config, panel)
    assert not (tmp_path / "curves" / "4-left.parquet").exists()
    curves = store.read_curves(panels.evaluate_panel(config, panel))
    assert [run.split()[-1] for run in runs] == ["SGD", "RMSprop", "ADAM", "ADAM", "NAG"]
    assert curves.groupby("optimizer").size().to_dict() == dict.fromkeys(("SGD", "RMSprop", "ADAM", "NAG"), 6)
    assert sorted(path.name for path in (tmp_path / "curves").iterdir()) == ["4-left.parquet", "4-left.provenance.yaml"]
