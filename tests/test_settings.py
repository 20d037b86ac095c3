"""Every key of every command's configuration, with values of wrong types and extreme ones: one line each, or a reason.

Each is composed, checked by its schema and built, as the commands do before they do anything else.
"""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from experiments.composition import schema
from experiments.composition.build import build, training_optimizee, tuning_optimizee
from experiments.composition.panel import panel_of
from l2l_tf.checks import instance_of
from l2l_tf.data.mnist import to_idx
from l2l_tf.errors import InputError
from l2l_tf.meta import Schedule
from l2l_tf.optimizees import Optimizee
from l2l_tf.optimizers import everything
from l2l_tf.serialization.trained import build_optimizer

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
    "evaluate, grid": ("evaluate", ["panel=figure_6_1_layer"]),
    **{name: (name, []) for name in ("verify", "diagnose", "data", "bench")},
}


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
    if name == "train" and part == "schedule":
        instance_of("schedule", build(config.schedule), Schedule)
    if part == "panel" and config.panel is not None:
        panel = panel_of(config, "figure_4_left")
        for _, optimizee in panel.variations():
            panel.tuning_optimizee(optimizee)
        for baseline in panel.baselines.values():
            build_optimizer({**baseline, "learning_rate": panel.tuning.low})


def outcomes(what: str, data: Path) -> Iterator[tuple[str, Any, str | None]]:
    """Each key with each value, and the line of its refusal, or None if it is accepted."""
    name, overrides = COMPOSED[what]
    composed = OmegaConf.to_container(compose(name, [*overrides, *([f"data.dir={data}"] if name == "train" else [])]))
    for key in keys_of(composed):
        if "evaluate" in what and key.split(".")[0] not in ("panel", "results", "refresh", "name", "seed"):
            continue  # the others are train's
        if what == "train, images" and key.split(".")[0] != "optimizee":
            continue
        for value in VALUES:
            config = OmegaConf.create(copy.deepcopy(composed))
            assert isinstance(config, DictConfig)
            OmegaConf.update(config, key, value, merge=False)
            try:
                prepare(name, config, key)
            except InputError as error:
                yield key, value, str(error)
            else:
                yield key, value, None


# What is accepted, and why. A key that ends so, of whatever command, and the values.
NUMBER, WHOLE, PATH, CONTENT = (1.5, 2**31), (2**31,), ("words", "..", "1", "true"), ("words", "1", "true")
ACCEPTED: dict[str, tuple[Any, ...]] = {}


@pytest.mark.parametrize("what", COMPOSED)
def test_every_key_refuses_in_one_line_what_it_cannot_be(what: str, data: Path) -> None:
    cases = accepted = 0
    for key, value, line in outcomes(what, data):
        cases += 1
        if line is None:
            accepted += 1
            suffix = next((suffix for suffix in ACCEPTED if key.endswith(suffix)), None)
            assert suffix is not None, f"{key}={value!r} is accepted"
            assert any(value is one or repr(value) == repr(one) for one in ACCEPTED[suffix]), f"{key}={value!r}"
        else:
            assert "\n" not in line
            assert len(line) < 1000
            assert re.search(r"must|is missing|needs|has no such argument", line), line
            assert re.search(rf"\b{re.escape(key.split('.')[-1])}\b|{re.escape(key.split('.')[0])}", line), (key, line)
    assert cases >= 40
    assert accepted < cases / 4
