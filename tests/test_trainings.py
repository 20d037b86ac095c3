"""The table of what was tried, from records as `experiments.train` leaves them."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from experiments.reports.trainings import trainings_table
from l2l_tf.errors import InputError

SCHEDULE = {
    "steps": 100,
    "shortest": None,
    "unroll": 20,
    "problems": 1,
    "optimizations": 5,
    "learning_rate": 2e-3,
    "decay": "cosine",
    "clip_norm": 10.0,
    "weights": "all",
    "replay": {"fraction": 0.125},
}
LSTM = {"_target_": "l2l_tf.optimizers.CoordinatewiseLSTM", "output_scale": 0.1, "preprocessing": {"p": 10.0}}


def record(folder: Path, losses: list[float], learning_rate: float) -> Path:
    folder.mkdir(parents=True)
    config = {
        "name": "mnist",
        "schedule": SCHEDULE | {"learning_rate": learning_rate},
        "optimizer": LSTM,
        "optimizee": {},
    }
    origin = {"seconds": 1800.0, "revisions": ["0123456789+"], "config": config}
    (folder / "provenance.yaml").write_text(yaml.safe_dump(origin))
    updates = [100 * (k + 1) for k in range(len(losses))]
    pd.DataFrame({"update": updates, "validation_loss": losses}).to_csv(folder / "history.csv", index=False)
    return folder


def test_each_training_is_a_row_with_its_best_validation(tmp_path: Path) -> None:
    record(tmp_path / "trained/mnist", [0.5, 0.2, 0.3], 1e-3)
    record(tmp_path / "trained/too_fast", [0.9], 1e-1)
    table = trainings_table(tmp_path).set_index("training")
    assert list(table.index) == ["trained/mnist", "trained/too_fast"]
    assert list(table.best_validation_loss) == [0.2, 0.9]
    assert list(table.best_at) == [200, 100]
    assert list(table.meta_updates) == [300, 100]
    assert list(table.learning_rate) == [1e-3, 1e-1]
    assert set(table.hours) == {0.5}
    assert set(table.revision) == {"0123456+"}  # with uncommitted changes


def test_what_was_tried_and_not_kept_has_its_rows_too(tmp_path: Path) -> None:
    record(tmp_path / "trained/mnist", [0.5], 1e-3)
    (tmp_path / "tried").mkdir()
    tried = pd.DataFrame({"experiment": ["mnist"], "training": ["slow"], "best_validation_loss": [0.4]})
    tried.to_csv(tmp_path / "tried/trainings.csv", index=False)
    assert list(trainings_table(tmp_path).training) == ["trained/mnist", "tried/slow"]
    (tmp_path / "tried/trainings.csv").write_text("no table")
    with pytest.raises(InputError, match="lacks the columns experiment, training"):
        trainings_table(tmp_path)


def test_groups_show_their_optimizers_settings_and_training_its_own_minibatch(tmp_path: Path) -> None:
    folder = record(tmp_path / "trained/cifar10", [0.5], 1e-3)
    origin = yaml.safe_load((folder / "provenance.yaml").read_text())
    odd = {"_target_": "l2l_tf.optimizers.OddLSTM", "output_scale": 0.01, "preprocessing": {"p": 5.0}}
    origin["config"]["optimizer"] = {"groups": [{"optimizer": LSTM}, {"optimizer": odd}]}
    origin["config"]["schedule"]["beginning"] = {"epochs": 20, "unroll": 10}
    origin["config"] |= {"optimizee": {"batch_size": 128}, "train_on": {"batch_size": 32}}
    (folder / "provenance.yaml").write_text(yaml.safe_dump(origin))
    (row,) = trainings_table(tmp_path).itertuples()
    assert (row.optimizer, row.output_scale, row.p, row.batch_size) == ("OddLSTM", 0.01, 5.0, 32)
    assert (row.first_output_scale, row.first_p) == (0.1, 10.0)
    assert (row.beginning_epochs, row.beginning_unroll) == (20, 10)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    folder = record(tmp_path / "trained/mnist", [0.5], 1e-3)
    (folder / "provenance.yaml").write_text("revision: 1\n")
    with pytest.raises(InputError, match=r"mnist/provenance\.yaml: no readable record"):
        trainings_table(tmp_path)
