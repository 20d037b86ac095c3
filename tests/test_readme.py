"""The README's examples run as they stand there."""

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from l2l_tf.evaluation.evaluate import evaluate
from l2l_tf.meta import Schedule, Validation
from l2l_tf.meta.trainer import Trainer
from l2l_tf.optimizees import Quadratic
from l2l_tf.optimizers import CoordinatewiseLSTM, everything
from l2l_tf.serialization.trained import build_optimizer, read_variables, save_optimizer

ROOT = Path(__file__).parent.parent
LSTM = {"_target_": "l2l_tf.optimizers.CoordinatewiseLSTM", "layers": [4], "output_scale": 0.01}


def examples() -> dict[str, dict[str, Any]]:
    """The names that each Python block of the README defines, by the heading above it."""
    found: dict[str, dict[str, Any]] = {}
    for section in (ROOT / "README.md").read_text().split("\n## ")[1:]:
        heading = section.splitlines()[0]
        for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
            if "class " in code:
                found[heading] = {}
                exec(code, found[heading])
    return found


def test_the_example_optimizee_can_be_trained_on(tmp_path: Path) -> None:
    rosenbrock = examples()["Add an optimizee"]["Rosenbrock"]()
    schedule = Schedule(steps=4, unroll=2, epochs=2, problems=3, validation=Validation(every=1, problems=2))
    optimizer = CoordinatewiseLSTM(layers=[4])
    before = [variable.numpy() for variable in optimizer.trainable_variables]
    checkpoint = Trainer(rosenbrock, rosenbrock, optimizer, schedule, seed=0, folder=tmp_path).train()
    assert checkpoint.update == 4
    after = [variable.numpy() for variable in optimizer.trainable_variables]
    assert any((new != old).any() for new, old in zip(after, before, strict=True))


def test_the_example_optimizer_descends() -> None:
    optimizer = examples()["Add an optimizer"]["SignDescent"](learning_rate=0.1)
    losses = evaluate(Quadratic(dimension=2), optimizer, problems=8, steps=20).groupby("step").loss.mean()
    assert losses[20] < 0.5 * losses[0]


@pytest.mark.parametrize("framework", ["sonnet", "keras"])
def test_a_trained_optimizer_is_used_as_the_readme_says(framework: str, tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text().split("\n## Use a trained optimizer")[1].split("\n## ")[0]
    codes = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    code = next(code for code in codes if f"l2l_tf.{framework}" in code)
    folder = ROOT / "results/trained/mnist"
    if not folder.exists():  # before anybody has trained it
        save_optimizer(tmp_path, LSTM, read_variables(everything(build_optimizer(LSTM))))
        folder = tmp_path
    images, labels = tf.random.stateless_normal([8, 5], [0, 1]), tf.range(8) % 3
    model = snt.nets.MLP([4, 3]) if framework == "sonnet" else keras.Sequential([keras.layers.Dense(3)])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(images)))
    before = [tf.identity(variable) for variable in model.trainable_variables]
    exec(code.replace("results/trained/mnist", str(folder)), {"model": model, "loss": loss, "tape": tape})
    if framework == "keras":
        model.fit(images, labels, verbose=0)
    after = model.trainable_variables
    assert all(np.abs(new - old).max() > 0 for new, old in zip(after, before, strict=True))
