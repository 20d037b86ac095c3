"""The CIFAR-10 experiments as configured: label subsets, parameter groups, and one clear line when they are wrong."""

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml
from hydra import compose, initialize
from omegaconf import DictConfig, OmegaConf

from experiments.composition.build import build, meta_training, plain, training_optimizee, tuning_optimizee
from experiments.composition.labels import check_unseen_labels
from experiments.composition.panel import Panel, compose_panel
from experiments.results.making import Maker
from experiments.results.trainings import fingerprint
from l2l_tf.data.cifar10 import CLASSES
from l2l_tf.errors import InputError
from l2l_tf.meta import Schedule
from l2l_tf.optimizees import SonnetClassifier
from l2l_tf.optimizers import ParameterGroups, everything

SUBSETS = {"cifar10_sub5": 5, "cifar10_sub2": 2, "cifar10_gaussian_sub5": 5, "cifar10_gaussian_sub2": 2}
EXPERIMENTS = ["cifar10", *SUBSETS, "cifar10_gaussian", "cifar10_single", "cifar10_gaussian_single"]
NAMES = [
    *(f"conv_{k}/{kind}" for k in range(3) for kind in "wb"),
    *(f"batch_norm_{k}/{kind}" for k in range(4) for kind in ("scale", "offset")),
    *(f"linear_{k}/{kind}" for k in range(2) for kind in "wb"),
]


def composed(experiment: str, *overrides: str, command: str = "evaluate") -> DictConfig:
    with initialize("../conf", version_base="1.3"):
        return compose(command, [f"experiment={experiment}", *overrides])


def only_panel(config: DictConfig, *overrides: str) -> tuple[Panel, Any]:
    """The experiment's one panel, and the optimizee it is about."""
    (key,) = config.panels
    panel = compose_panel(key, overrides)
    ((_, optimizee),) = panel.variations()
    return panel, OmegaConf.create(optimizee)


@pytest.mark.parametrize(("experiment", "count"), SUBSETS.items())
def test_sub_trains_on_exactly_the_labels_that_its_panel_lacks(experiment: str, count: int) -> None:
    config = composed(experiment)
    panel, tested = only_panel(config)
    assert sorted([*tested.data.labels, *config.optimizee.data.labels]) == sorted(CLASSES)
    assert len(tested.data.labels) == count
    assert panel.learned == {"LSTM": experiment.rpartition("_sub")[0], "LSTM-sub": experiment}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_there_is_a_logit_for_each_label(experiment: str) -> None:
    config = composed(experiment)
    for optimizee in (config.optimizee, only_panel(config)[1]):
        assert optimizee.module.classes == len(optimizee.data.labels or CLASSES)


def test_the_panels_have_the_papers_protocol() -> None:
    panels = [only_panel(composed(experiment))[0] for experiment in EXPERIMENTS]
    names = ["7-left", "7-centre", "7-right", "cifar10-single"]
    assert {panel.name for panel in panels} == {*names, *(f"{name}-gaussian" for name in names)}
    assert all((panel.steps, panel.problems, panel.window) == (1000, 20, 100) for panel in panels)


@pytest.mark.parametrize("experiment", [name for name in EXPERIMENTS if "gaussian" in name])
def test_every_parameter_starts_gaussian_around_0(experiment: str, small_data: Path) -> None:
    config = composed(experiment, f"data.dir={small_data}", "+optimizee.data.verify=false")
    scale = training_optimizee(config).init(tf.constant([0, 1]))["batch_norm_0/scale"]
    assert 0.0 < np.abs(scale).max() < 0.1
    assert only_panel(config)[1].initial_means is None


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_schedule_reaches_the_panels_horizon(experiment: str) -> None:
    schedule = build(composed(experiment, command="train").schedule)
    assert isinstance(schedule, Schedule)
    assert (schedule.steps, schedule.shortest, schedule.unroll) == (1000, 100, 100)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_training_is_smaller_than_the_panels_but_for_the_minibatches(experiment: str, small_data: Path) -> None:
    config = composed(experiment, f"data.dir={small_data}", "+optimizee.data.verify=false")
    training, (_, tested) = training_optimizee(config), only_panel(config)
    assert (training.batch_size, training.subset) == (128, (200, 45000))
    assert training.images.shape[1:] == (16, 16, 3)
    assert training.init(tf.constant([0, 0]))["conv_1/w"].shape == [5, 5, 8, 8]
    assert tested.data.get("shrink_by", 1) == 1
    assert tested.batch_size == config.optimizee.batch_size == 128
    assert tested.get("subset") is None


@pytest.mark.parametrize("experiment", ["cifar10", "cifar10_sub5", "cifar10_sub2"])
def test_baselines_are_tuned_on_training_images_as_many_as_the_test_problems_have(
    experiment: str, small_data: Path
) -> None:
    panel, variant = only_panel(composed(experiment), "+optimizee.data.verify=false")
    labels = variant.data.labels or CLASSES
    optimizee = Maker(small_data, small_data, str(small_data)).optimizee(panel.tuning_optimizee(plain(variant)))
    assert isinstance(optimizee, SonnetClassifier)
    assert optimizee.subset == (1000 * len(labels), 1000 * len(labels))
    assert len(optimizee.labels) == 18 * len(labels)  # of 20 a label, two are for validation


def test_what_baselines_are_tuned_on_has_only_arguments_that_the_optimizee_has() -> None:
    config = composed("cifar10", "+tune_on.batch=4")
    with pytest.raises(InputError, match="tune_on: key=batch: must be one of arguments, batch_size, compile"):
        tuning_optimizee(config, config.optimizee)


def test_the_best_weights_are_chosen_on_problems_as_the_baselines_rates_are(small_data: Path) -> None:
    built = meta_training(composed("cifar10_sub5", f"data.dir={small_data}", "+optimizee.data.verify=false"))
    assert built.validation_optimizee.subset == (5000, 5000)
    assert built.validation_optimizee.shapes["conv_0/w"] == [5, 5, 3, 16]  # a panel's network, unlike in training
    assert built.optimizee.subset == (200, 45000)


def test_nothing_is_trained_or_tuned_on_test_images() -> None:
    config = composed("cifar10", "+train_on.data.split=validation", "tune_on.data.split=test")
    with pytest.raises(InputError, match=r"train_on\.data\.split=validation: must be one of train$"):
        training_optimizee(config)
    with pytest.raises(InputError, match=r"tune_on\.data\.split=test: must be one of train, validation$"):
        tuning_optimizee(config, config.optimizee)


def test_convolution_weights_have_an_lstm_of_their_own() -> None:
    optimizer = build(composed("cifar10").optimizer)
    convolutions, rest = optimizer.assign(NAMES)
    assert convolutions == ["conv_0/w", "conv_1/w", "conv_2/w"]
    assert sorted([*convolutions, *rest]) == sorted(NAMES)
    assert len(optimizer.trainable_variables) == 12


@pytest.mark.parametrize(
    ("two", "one", "different"),
    [
        ("cifar10", "cifar10_single", {"output_scale": 0.01, "output_deviation": 1.0}),
        ("cifar10_gaussian", "cifar10_gaussian_single", {}),
    ],
)
def test_the_single_lstm_is_that_of_the_convolutions_and_the_other_differs_in_its_output_alone(
    two: str, one: str, different: dict[str, float]
) -> None:
    single = composed(one).optimizer
    convolutions, rest = (group.optimizer for group in composed(two).optimizer.groups)
    assert convolutions == single
    assert rest == dict(single) | different
    assert isinstance(everything(build(single)), ParameterGroups)


def refused(results: Path, record: str) -> None:
    folder = results / "trained" / "cifar10_sub2"
    folder.mkdir(parents=True)
    (folder / "optimizer.yaml").write_text("layers: []")
    (folder / "provenance.yaml").write_text(record)
    check_unseen_labels(compose_panel("figure_7_right"), [results])


def test_a_panel_that_lists_unseen_labels_is_tuned_like_any_other() -> None:
    panel = compose_panel("figure_7_right").only_baselines()
    assert (len(panel.baselines), len(panel.learned)) == (4, 0)


def test_what_sub_has_seen_is_read_from_the_record_of_its_training(tmp_path: Path) -> None:
    record = {"config": {"optimizee": {"data": {"labels": ["cat", 1]}}, "optimizer": {}, "schedule": {}}}
    with pytest.raises(InputError, match=r"LSTM-sub \(cifar10_sub2\) is trained on automobile as well"):
        refused(tmp_path, yaml.safe_dump(record))


@pytest.mark.parametrize("content", ["config: {optimizee", "damaged", "config: {seed: 0}", "config:"])
def test_a_damaged_record_of_its_training_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cifar10_sub2/provenance\.yaml: "):
        refused(tmp_path, content)


def test_a_checkpoint_is_not_for_another_training_problem() -> None:
    changes: list[list[str]] = [[], ["train_on.batch_size=64"], ["tune_on.subset=[100,100]"]]
    assert len({fingerprint(plain(composed("cifar10", *change))) for change in changes}) == len(changes)
    quadratic = plain(composed("quadratic"))
    assert fingerprint(quadratic) == fingerprint({key: quadratic[key] for key in quadratic if key != "train_on"})


def test_a_panel_can_do_without_baselines() -> None:
    assert not only_panel(composed("cifar10_single"))[0].baselines


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random images where CIFAR-10 would be."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "cifar10").mkdir()
    arrays: dict[str, Any] = {}
    for part in ("train", "test"):
        arrays[f"{part}_images"] = np.random.default_rng(0).integers(0, 256, [200, 32, 32, 3], dtype=np.uint8)
        arrays[f"{part}_labels"] = np.resize(np.arange(10, dtype=np.uint8), 200)
    np.savez(folder / "cifar10" / "cifar10.npz", **arrays)
    return folder


def line_of(command: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """What `python -m experiments.<command>` says as it ends; run in this process, which has TensorFlow already."""
    monkeypatch.setattr(sys, "argv", [command, *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"experiments.{command}", run_name="__main__", alter_sys=True)
    return str(ended.value.code)


FIRST, SECOND = "optimizer.groups.0.parameters", "optimizer.groups.1.parameters"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([f"{FIRST}=[conv_*/weights]"], "error: optimizer.groups: pattern 'conv_*/weights' matches none of "),
        ([f"{FIRST}=[conv_*]"], "error: optimizer.groups: parameter 'conv_0/b' is in 2 groups, must be in 1"),
        ([f"{SECOND}=[conv_*/b,linear_*]"], "error: optimizer.groups: parameter 'batch_norm_0/offset' is in 0 groups"),
        (
            ["optimizee.data.labels=[cat,unicorn]"],
            "error: optimizee.data.labels=['cat', 'unicorn']: must be a list",
        ),
        (["optimizee.module.classes=4"], "error: optimizee.module: makes 4 logits for 10 labels"),
        (
            ["+train_on.batch=4"],
            "error: train_on: key=batch: must be one of arguments, batch_size, compile",
        ),
    ],
)
def test_training_refuses_bad_input_with_one_line(
    arguments: list[str], line: str, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = [f"data.dir={small_data}", "+optimizee.data.verify=false", f"hydra.run.dir={tmp_path}"]
    said = line_of("train", ["experiment=cifar10", *data, *arguments], monkeypatch)
    assert said.startswith(line)
    assert "\n" not in said
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            "[truck,deer,0]",
            "LSTM-sub (cifar10_sub5) is trained on airplane, deer as well: must have no label in common",
        ),
        ("null", "is trained on airplane, automobile, bird, cat, deer as well"),
        ("[dog,unicorn]", "error: cifar10_sub5: optimizee.data.labels=unicorn: must be one of 0, 1, 2"),
    ],
)
def test_sub_is_not_trained_on_labels_of_its_panel(
    labels: str, said: str, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = [f"data.dir={small_data}", "+optimizee.data.verify=false", f"hydra.run.dir={tmp_path}"]
    line = line_of("train", ["experiment=cifar10_sub5", f"optimizee.data.labels={labels}", *data], monkeypatch)
    assert said in line
    assert "\n" not in line
    assert not list(tmp_path.glob("*.safetensors"))


def test_damaged_data_ends_the_training_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "cifar10.npz").write_bytes(b"PK\3\4 and no more")
    arguments = ["experiment=cifar10", f"data.dir={tmp_path}", f"hydra.run.dir={tmp_path / 'run'}"]
    line = line_of("train", arguments, monkeypatch)
    assert line.startswith(f"error: {tmp_path}/cifar10/cifar10.npz: must be the file that `make data` writes")
    assert "\n" not in line
