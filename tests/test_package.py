"""The installed package: `l2l_tf` alone, with pretrained optimizers inside."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from l2l_tf.serialization.trained import optimizer_folder, pretrained

ROOT = Path(__file__).parent.parent
TRAIN = """
import keras, numpy as np
import l2l_tf
from l2l_tf.keras import LearnedOptimizer
from l2l_tf.serialization.trained import load_optimizer

assert "site-packages" in l2l_tf.__file__, l2l_tf.__file__
assert load_optimizer("general").trainable_variables
keras.utils.set_random_seed(0)
x = np.random.default_rng(0).normal(size=[256, 3]).astype("float32")
y = (x.sum(axis=1) > 0).astype("int32")
model = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(2)])
model.compile(LearnedOptimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
losses = model.fit(x, y, batch_size=64, epochs=6, verbose=0).history["loss"]
print(l2l_tf.__version__, losses[0], losses[-1])
assert losses[-1] < 0.5 * losses[0], losses
try:
    import experiments
except ImportError:
    pass
else:
    raise AssertionError("experiments is installed")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the sources, built without a network by the setuptools that is installed."""
    sources, output = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE", "l2l_tf", "experiments"):
        (sources / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(output), str(sources)], check=True, capture_output=True)
    [file] = output.iterdir()
    return file


def test_wheel_holds_the_library_and_its_optimizers_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"l2l_tf"}
    assert "l2l_tf/py.typed" in names
    for name in pretrained():
        assert {f"l2l_tf/pretrained/{name}/optimizer.{suffix}" for suffix in ("yaml", "safetensors")} <= set(names)
    [metadata] = [name for name in names if name.endswith("METADATA")]
    required = zipfile.ZipFile(wheel).read(metadata).decode()
    assert "Provides-Extra: experiments" in required
    for line in required.splitlines():
        if line.startswith("Requires-Dist: hydra") or line.startswith("Requires-Dist: matplotlib"):
            assert "extra == " in line


def test_wheel_trains_a_keras_model_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """The environment sees the packages that are installed here, but nothing of this checkout."""
    venv.create(tmp_path / "venv", with_pip=False)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    (site / "packages.pth").write_text(sysconfig.get_paths()["purelib"])
    python = tmp_path / "venv" / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, cwd=tmp_path, env=environment)
    done = subprocess.run([str(python), "-c", TRAIN], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    export = str(python.with_name("l2l-export"))
    subprocess.run([export, "mnist", "mnist.l2l"], check=True, cwd=tmp_path, env=environment)
    assert (tmp_path / "mnist.l2l").exists()
    assert python.with_name("l2l-import").exists()


def test_pretrained_optimizers_are_those_of_the_results() -> None:
    for name in pretrained():
        for file in ("optimizer.yaml", "optimizer.safetensors"):
            stored = ROOT / "results" / "trained" / name / file
            assert (optimizer_folder(name) / file).read_bytes() == stored.read_bytes(), f"copy {stored}"
