"""Every key of every command's configuration, with values of wrong types and extreme ones: one line each, or a reason.

Each is composed, checked by its schema and built, as the commands do before they do anything else.
"""

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from experiments.calibration import runs as calibration
from experiments.composition import schema
from experiments.composition.build import build, check_once_trained, meta_training, training_optimizee, tuning_optimizee
from experiments.composition.cli import folder_name
from experiments.composition.panel import panel_of
from experiments.results.making import Maker
from experiments.studies import time_to_loss
from experiments.suite import __main__ as suite
from l2l_tf.checks import instance_of
from l2l_tf.data.mnist import to_idx
from l2l_tf.errors import InputError
from l2l_tf.meta import Schedule
from l2l_tf.optimizees import Optimizee
from l2l_tf.optimizers import everything

CONF = Path(__file__).parent.parent / "conf"
NAN, INFINITE = float("nan"), float("inf")
VALUES: tuple[Any, ...] = (
    *(None, "words", "", "..", True, False, [], {}, [1], ["a"], {"a": 1}, {"_target_": "os.getcwd"}, "a\0b"),
    *(-1, 0, 1.5, 2**31, 2**70, 1e39, 1e-320, NAN, INFINITE, -INFINITE, "1", "true"),
)


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of 4 by 4 pixels."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "mnist").mkdir()
    for part, count in (("train", 24), ("t10k", 4)):
        (folder / "mnist" / f"{part}-images-idx3-ubyte").write_bytes(to_idx(np.zeros((count, 4, 4))))
        (folder / "mnist" / f"{part}-labels-idx1-ubyte").write_bytes(to_idx(np.arange(count) % 10))
    return folder


QUADRATIC = ["optimizer.layers=[2]", "optimizee.dimension=2"]
MNIST = ["experiment=mnist", "optimizer.layers=[2]", "optimizee.module.units=2", "+optimizee.data.verify=false"]
COMPOSED: dict[str, tuple[str, list[str]]] = {
    "train": ("train", QUADRATIC),
    "train, images": ("train", MNIST),
    "evaluate": ("evaluate", [*QUADRATIC, "panel=figure_4_left"]),
    "time_to_loss": ("time_to_loss", MNIST),
    "calibration": ("calibration", MNIST[2:]),
    **{name: (name, []) for name in ("verify", "diagnose", "data", "bench", "suite")},
}
# Of mappings whose values all have the same keys, those that have every key there is.
SOME = {
    "time_to_loss": ("schedules", ["plain", "eighth"]),
    "calibration": ("variants", ["RMSprop, decay 0.99, momentum 0.9", "ADAM, β2 0.9"]),
}
TRAINS = {key.name for key in fields(schema.Training)}  # keys that other commands have from train


def keys_of(node: Any, key: str = "") -> Iterator[str]:
    """Every key below a node, inner ones too."""
    if key:
        yield key
    for name, value in node.items() if isinstance(node, dict) else ():
        yield from keys_of(value, f"{key}.{name}" if key else str(name))


def prepare(name: str, config: DictConfig, key: str) -> None:
    """What the command does before it begins, as far as it depends on the key."""
    schema.check(OmegaConf.to_container(config, resolve=True, throw_on_missing=True), schema.SCHEMAS[name])
    part = key.split(".")[0]
    if name == "train" and part in ("optimizee", "data", "train_on", "tune_on"):
        for optimizee in (training_optimizee(config), tuning_optimizee(config, config.optimizee)):
            instance_of("optimizee", optimizee, Optimizee)
    if name == "train" and part == "optimizer":
        everything(build(config.optimizer))
    if name == "train" and part == "start_from":
        meta_training(config)
    if name == "train" and part == "once_trained":
        check_once_trained(config)
    if name == "train" and part == "schedule":
        instance_of("schedule", build(config.schedule), Schedule)
    if part == "panel" and config.panel is not None:
        panel = panel_of(config, "figure_4_left")
        Maker(Path("results"), Path("results"), "data").check(replace(panel, learned={}))
    if name == "time_to_loss" and part == "schedules":
        time_to_loss.variants(config)
    if name == "calibration" and part in ("networks", "baselines", "variants"):
        for other in {"networks", "baselines", "variants"} - {part}:  # which take time
            OmegaConf.update(config, other, {}, merge=False)
        calibration.check(config)
    if name == "suite":
        suite.chosen(config)


def outcomes(what: str, data: Path) -> Iterator[tuple[str, Any, str | None]]:
    """Each key with each value, and the line of its refusal, or None if it is accepted."""
    name, overrides = COMPOSED[what]
    composed = OmegaConf.to_container(
        compose(name, [*overrides, *([f"data.dir={data}"] if name in ("train", "calibration") else [])])
    )
    assert isinstance(composed, dict)
    if name in SOME:
        mapping, kept = SOME[name]
        composed[mapping] = {one: composed[mapping][one] for one in kept}
    for key in keys_of(composed):
        if name in ("evaluate", "time_to_loss", "calibration") and key.split(".")[0] in TRAINS - {"name", "seed"}:
            continue
        if what == "train, images" and key.split(".")[0] != "optimizee":
            continue
        config = OmegaConf.create(composed)
        assert isinstance(config, DictConfig)
        for value in VALUES:
            OmegaConf.update(config, key, value, merge=False)
            try:
                prepare(name, config, key)
            except InputError as error:
                yield key, value, str(error)
            else:
                yield key, value, None


# What is accepted, and why: keys by how they end, with the values among `VALUES` that they may have.
TRUTH = (True, False)
NAMES = ("words", "1", "true")  # texts are names: null, lists and .. are none
PATHS = (*NAMES, "..")  # which need not exist: where they are read, a missing file is one line
LISTS: tuple[list[int], ...] = ([], [1])  # an empty list is nothing to do
SEEDS = (0, 2**31)
POSITIVE = (1.5, 2**31)  # as a user may mean them: whoever sets a rate of 2^31 sees it diverge, in one line
FROM_0 = (0, *POSITIVE, 1e-320)  # 1e-320 counts as 0, which is allowed
BELOW_1 = (0, 1e-320)
NONE = (None,)  # null is documented: without, or as long as it takes
ACCEPTED: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("optimizer.seed", "seed"), SEEDS),
    **dict.fromkeys(("initial_deviation", "output_deviation", "epsilon"), FROM_0),
    **dict.fromkeys(("output_scale", "learning_rate", "tuning.high"), POSITIVE),
    **dict.fromkeys(("clip_norm", "memory_limit"), (*NONE, *POSITIVE)),
    "curvature_limit": (*NONE, *FROM_0),
    **dict.fromkeys(("alpha", "beta_1", "beta_2", "momentum"), BELOW_1),
    **dict.fromkeys(("second_derivatives", "compile", "refresh", "reuse", "quick", "tables_only"), TRUTH),
    **dict.fromkeys(("at_once", "shortest", "patience", "keep_last", "finals", "preprocessing"), NONE),
    **dict.fromkeys(("optimizer.layers", "layers", "coordinates", "unrolls", "fractions"), LISTS),
    **dict.fromkeys(("module.layers", "5-centre.layers"), (0,)),  # a linear classifier
    "whole_below": (0,),  # every tensor is sampled
    "_partial_": (True,),
    "verify": (False,),
    **dict.fromkeys(("panel.beside", "diagnose.run"), (*NONE, *NAMES)),
    "panel.title": (*PATHS, "", "a\0b"),  # any text
    **dict.fromkeys(("results", "folder", "trained.quadratics", "trained.MNIST net"), PATHS),
    **dict.fromkeys(("table", "run", "dir"), (*NONE, *PATHS)),
    **dict.fromkeys(("panels", "trust"), (*NONE, [], ["a"])),  # looked up later, before anything runs
    **dict.fromkeys(("low", "high"), POSITIVE),
    **dict.fromkeys(("tasks", "optimizers"), ([],)),
    **dict.fromkeys(("deviations", "between", "targets"), LISTS),
    **dict.fromkeys(("schedules", "networks", "baselines"), ({},)),
    "variants": (*NONE, {}),
    **{f"networks.{panel}": ({},) for panel in ("4-centre", "5-left", "5-centre", "5-right")},  # changes: none
    **{f"networks.{panel}.module": ({},) for panel in ("5-left", "5-centre", "5-right")},
    **{f"schedules.{name}": ({},) for name in ("plain", "eighth", "eighth.replay")},
    **dict.fromkeys(("optimizees", "sets", "claims", "unseen_labels"), ([],)),
    "short_runs": ({},),  # refused where it is used
    **{f"short_runs.{name}": ([], ["a"]) for name in ("quadratic", "mnist", "cifar10")},  # the command's arguments
    # Mappings may be empty; their keys are arguments of an optimizee, which building it holds them against.
    **dict.fromkeys(("train_on", "tune_on", "once_trained", "panel.grid"), ({},)),
    "tuning.optimizee": ({}, {"a": 1}, {"_target_": "os.getcwd"}),
    **dict.fromkeys(
        ("panel.learned", "trained"), (*NONE, *PATHS, {}, {"_target_": "os.getcwd"})
    ),  # a name as any other
    "panel.learned.LSTM": (*NONE, *NAMES),
    **dict.fromkeys(("panel.baselines",), (*NONE, {})),
    **{f"baselines.{name}": NONE for name in ("SGD", "RMSprop", "ADAM", "NAG")},  # null takes it away
    "panel": NONE,  # all of the experiment's
    "start_from": NONE,
    "name": NAMES,
    "stages": (*NONE, *PATHS),
    "only": (*NONE, *PATHS, "", "a\0b"),  # looked up among the panel's optimizers, before anything runs
    "studies": ([], {}, {"a": 1}, {"_target_": "os.getcwd"}),  # names, not calls
}


@pytest.mark.parametrize("what", COMPOSED)
def test_every_key_refuses_in_one_line_what_it_cannot_be(what: str, data: Path) -> None:
    cases = accepted = 0
    for key, value, line in outcomes(what, data):
        cases += 1
        if line is None:
            accepted += 1
            ends = (end for end in ACCEPTED if key == end or key.endswith(f".{end}"))
            suffix = max(ends, key=len, default=None)
            assert suffix is not None, f"{key}={value!r} is accepted"
            assert any(value is one or repr(value) == repr(one) for one in ACCEPTED[suffix]), f"{key}={value!r}"
        else:
            assert "\n" not in line
            assert len(line) < 1000
            assert re.search(r"must|is missing|needs|has no such argument|missing: run `make data`|TypeError", line), (
                line
            )
            assert re.search(
                rf"\b{re.escape(key.split('.')[-1])}\b|{re.escape(key.split('.')[0])}|run `make data`|SHA-256", line
            ), (key, line)
    assert cases >= 40
    assert accepted < cases / 4


def test_every_commands_configuration_is_what_its_schema_says() -> None:
    for name in (path.stem for path in CONF.glob("*.yaml")):
        if name != "base":
            config = OmegaConf.to_container(compose(name), resolve=True, throw_on_missing=True)
            schema.check(config, schema.SCHEMAS[name])


def test_a_folders_name_has_no_paths_and_is_no_longer_than_file_systems_allow() -> None:
    assert folder_name(["seed=1", "experiment=mnist", "data.dir=/abs/path"]) == "seed=1"
    weights = folder_name([f"schedule.weights=[{','.join(['1.0'] * 100)}]", "seed=1"])
    assert re.fullmatch(r"schedule\.weights=[0-9a-f]{8},seed=1", weights)
    assert folder_name([f"schedule.weights=[{','.join(['2.0'] * 100)}]", "seed=1"]) != weights
    assert len(folder_name([f"some.key_{number}={number}" for number in range(100)])) <= 200
    assert "/" not in folder_name(["+optimizee.path=a/b"])
