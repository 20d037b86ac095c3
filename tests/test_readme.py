"""The README's examples run as they stand there."""

import re
from pathlib import Path
from typing import Any

import tensorflow as tf

from l2l_tf.evaluation import evaluate
from l2l_tf.meta import Schedule, Validation
from l2l_tf.meta.trainer import Trainer
from l2l_tf.optimizees import Quadratic
from l2l_tf.optimizers import CoordinatewiseLSTM

ROOT = Path(__file__).parent.parent


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


def test_the_stored_optimizer_is_used_as_the_readme_says() -> None:
    section = (ROOT / "README.md").read_text().split("\n## Use a trained optimizer")[1]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    params = {"w": tf.ones([3, 2]), "b": tf.zeros([2])}
    gradients = {"w": tf.ones([3, 2]), "b": -tf.ones([2])}
    names: dict[str, Any] = {"params": params, "gradients": gradients}
    exec(code.replace('"results/', f'"{ROOT}/results/'), names)
    assert {name: tuple(update.shape) for name, update in names["updates"].items()} == {"w": (3, 2), "b": (2,)}
