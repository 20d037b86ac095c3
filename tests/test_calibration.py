"""`python -m experiments.calibration` in miniature: its tables, and that their distances are those of the real runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from commands import call

from experiments.calibration import runs
from experiments.reports.paper import paper_curves
from l2l_tf.data import load_cifar10
from l2l_tf.data.mnist import to_idx
from l2l_tf.evaluation.evaluate import Evaluator
from l2l_tf.optimizees import SonnetClassifier, convnet
from l2l_tf.optimizers import SGD

SHORT = ["+optimizee.data.verify=false", "optimizee.batch_size=16", "tuning.per_decade=1"]
DISTANCE_OF = {"deviation", "panel", "optimizer", "of", "learning_rate", "distance"}

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a command run a second time in this process


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small data sets, of images whose label can be seen."""
    folder, draw = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    (folder / "mnist").mkdir()
    (folder / "cifar10").mkdir()
    labels = np.arange(100, dtype=np.uint8) % 10
    images = (draw.integers(30, size=[100, 8, 8, 3]) + 20 * labels[:, None, None, None]).astype(np.uint8)
    for part in ("train", "t10k"):
        (folder / "mnist" / f"{part}-images-idx3-ubyte").write_bytes(to_idx(images[..., 0]))
        (folder / "mnist" / f"{part}-labels-idx1-ubyte").write_bytes(to_idx(labels))
    arrays: dict[str, Any] = {
        f"{part}_{what}": array
        for part in ("train", "test")
        for what, array in (("images", images), ("labels", labels))
    }
    np.savez(folder / "cifar10" / "cifar10.npz", **arrays)
    return folder


def test_mnist_has_all_its_tables_and_makes_them_once(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ["panels=[5-centre]", "~baselines.ADAM", "~baselines.RMSprop"]
    short = [*SHORT, "steps=3", "window=1", "batch=2", "tuning.problems=2", "deviations=[0.05,0.5]", "between=[0.2]"]
    assert call("calibration", *short, *few, "variants=null", f"data.dir={data}", f"results={tmp_path}") == ""
    deviations = pd.read_csv(tmp_path / "deviations.csv")
    assert set(deviations) >= DISTANCE_OF
    assert list(zip(deviations.optimizer, deviations.deviation, strict=True)) == [
        ("NAG", 0.05),
        ("NAG", 0.5),
        ("SGD", 0.05),
        ("SGD", 0.5),
    ]
    summary = pd.read_csv(tmp_path / "summary.csv").set_index("deviation")
    np.testing.assert_allclose(summary["mean"], deviations.groupby("deviation").distance.mean(), rtol=1e-5)
    assert list(pd.read_csv(tmp_path / "between.csv").deviation) == [0.2, 0.2]
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")}
    monkeypatch.setattr(runs, "rate_curves", pytest.fail)  # whoever calculates again calls it
    assert call("calibration", *short, *few, "variants=null", f"data.dir={data}", f"results={tmp_path}") == ""
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == before
    monkeypatch.undo()
    added = [argument.replace("[0.05,0.5]", "[0.1]") for argument in short]
    assert call("calibration", *added, *few, "variants=null", f"data.dir={data}", f"results={tmp_path}") == ""
    assert sorted(set(pd.read_csv(tmp_path / "deviations.csv").deviation)) == [0.05, 0.1, 0.5]
    assert list(pd.read_csv(tmp_path / "summary.csv").deviation) == [0.1]  # of what was asked for
    more = [argument.replace("steps=3", "steps=2").replace("[0.05,0.5]", "[0.1]") for argument in short]
    assert call("calibration", *more, *few, "variants=null", f"data.dir={data}", f"results={tmp_path}") == ""
    assert set(pd.read_csv(tmp_path / "deviations.csv").deviation) == {0.1}  # other settings: no row of before stays
    record = yaml.safe_load((tmp_path / "between.provenance.yaml").read_text())
    assert record["config"]["between"] == [0.2]


def test_the_distance_on_cifar10_is_that_of_means_of_ten_steps(data: Path, tmp_path: Path) -> None:
    few = ["panels=[7-left]", "~baselines.ADAM", "~baselines.RMSprop", "~baselines.NAG"]
    short = [*SHORT, "calibration=cifar10", "steps=20", "window=10", "deviations=[0.5,1.0]"]
    assert call("calibration", *short, *few, f"data.dir={data}", f"results={tmp_path}") == ""
    table = pd.read_csv(tmp_path / "deviations.csv")
    assert list(table.deviation) == [0.5, 1.0]
    row = table.iloc[1]
    images = load_cifar10(data, "train", verify=False)
    network = SonnetClassifier(convnet, images, batch_size=16, initial_deviation=1.0)
    assert row.problems == 3  # one for all rates, three decide
    losses = Evaluator(network, SGD(row.learning_rate), steps=20).losses(0, "validation", range(3))[0].mean(axis=0)
    points = np.array([losses[1:11].mean(), losses[11:21].mean()])
    paper = paper_curves("7-left").query("optimizer == 'SGD' and step <= 20").loss.to_numpy()
    assert row.first_loss == pytest.approx(losses[0], rel=1e-3)
    assert row.distance == pytest.approx(np.abs(np.log10(points / paper)).mean(), rel=0.02)


def test_what_is_wrong_is_one_line_before_anything_runs(data: Path, tmp_path: Path) -> None:
    for wrong, line in {
        "panels=[5-top]": "panels=5-top: must be one of 4-centre, 5-centre, 5-left, 5-right",
        "optimizee.module.units=0": "networks.4-centre: optimizee.module.units=0: must be an integer of at least 1",
        "baselines.SGD.low=50.0": "baselines.SGD: low=50.0: must be at most high=17.8",
    }.items():
        said = call("calibration", *SHORT, wrong, f"data.dir={data}", f"results={tmp_path}")
        assert said == f"error: {line}"
    assert not list(tmp_path.iterdir())
