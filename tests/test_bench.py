"""The bench from end to end, in tiny sizes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from commands import call
from tqdm import tqdm

from experiments import bench
from experiments.benchmarks import convolutions, measure, sampling, short_runs
from experiments.benchmarks.measure import apart
from experiments.benchmarks.stages import add_stages
from l2l_tf.errors import InputError
from l2l_tf.optimizees import SonnetClassifier, convnet


def take(gib: float) -> int:
    """A task that needs so much memory."""
    return int(np.ones(int(gib * 2**27)).sum())


def convnet_theta() -> dict[str, tf.Tensor]:
    """θ_0 of CIFAR-10's network."""
    return SonnetClassifier(convnet, measure.random_images(32, 3)).init(tf.constant([0, 0]))


def test_a_quick_bench_writes_all_its_files(tmp_path: Path) -> None:
    assert call("bench", "quick=true", "studies=[engine,sampling,convolutions]", f"folder={tmp_path}") == ""
    for name in ("engine.md", "engine.png", "engine.provenance.yaml", "sampling.provenance.yaml"):
        assert (tmp_path / name).stat().st_size > 0
    engine = pd.read_csv(tmp_path / "engine.csv")
    assert set(engine.study) == {"optimizees", "coordinates", "unroll"}
    assert (engine[["seconds", "peak_gib"]] > 0).all(axis=None)
    assert (pd.read_csv(tmp_path / "convolutions.csv", index_col="what").seconds > 0).all()
    sampling = pd.read_csv(tmp_path / "sampling.csv")
    assert sampling.cosine.between(0.5, 1.0).all()
    assert (sampling.noise > 0).all()


def test_convolutions_are_those_of_the_network() -> None:
    layers = convolutions.inputs_and_filters()
    filters = [
        tensor.shape for name, tensor in convnet_theta().items() if name.startswith("conv_") and name.endswith("/w")
    ]
    assert [w.shape for _, w in layers] == filters
    gradients = convolutions.convolve(layers)
    assert [tensor.shape for tensor in gradients] == [
        filters[0],
        filters[1],
        layers[1][0].shape,
        filters[2],
        layers[2][0].shape,
    ]


def test_short_runs_are_reproduced_and_their_stages_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = []

    def reproduce(results: Path, arguments: list[str]) -> None:
        commands.append(arguments)
        add_stages(results / "bench" / "reproduce.csv", arguments[0].partition("=")[2], {"tuning": 12.0})

    monkeypatch.setattr(short_runs, "reproduce", reproduce)
    stages = short_runs.short_runs({"quadratic": [], "mnist": ["seed=1"]}, "images")
    assert commands == [["experiment=quadratic", "data.dir=images"], ["experiment=mnist", "data.dir=images", "seed=1"]]
    assert list(stages.columns) == ["experiment", "stage", "seconds"]
    assert stages.groupby("experiment").seconds.sum().to_dict() == {"quadratic": 12.0, "mnist": 12.0}
    assert "tuning" in capsys.readouterr().out


def test_a_short_run_that_fails_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^experiment=none: error: experiment=none: must be one of "):
        short_runs.reproduce(tmp_path, ["experiment=none"])


@pytest.mark.parametrize("argument", ["studies=[engines]", "optimizees=[quadratic]"])
def test_a_wrong_name_is_one_line(argument: str) -> None:
    assert call("bench", argument).startswith(f"error: {argument.split('=')[0]}.0=")


def test_memory_that_runs_out_is_one_line_or_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bench, sampling):
        monkeypatch.setattr(module, "apart", lambda *_: None)
    line = call("bench", "studies=[sampling]", "memory_limit=4.0")
    assert line.startswith("error: memory_limit=4.0: is too little for quadratics; must be more, or null for none")
    job = measure.Job("quadratics", (2,), 1, 0.5, 1, ("exact", "autodiff"))
    rows = pd.DataFrame(bench.compare(job, 4.0, tqdm(disable=True)))
    assert list(rows.method) == ["exact", "autodiff"]
    assert rows[["seconds", "peak_gib"]].isna().all(axis=None)


def test_what_does_not_fit_into_memory_is_reported_as_such() -> None:
    assert apart(4.0, take, 0.01) == 0.01 * 2**27 // 1
    assert apart(4.0, take, 8.0) is None
