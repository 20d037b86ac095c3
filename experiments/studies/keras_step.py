"""`python -m experiments.studies.keras_step`: what a step in Keras costs, beside Adam's, and the state it keeps.

Medians of the time of `apply` on given gradients; the optimizers take turns, so that what disturbs the machine disturbs
them all. Nothing else should run meanwhile.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pandas as pd
import tensorflow as tf

from experiments.benchmarks.measure import median_seconds
from experiments.results.record import write_study
from l2l_tf.keras import LearnedOptimizer

OPTIMIZERS: dict[str, Callable[[], keras.optimizers.Optimizer]] = {
    "Adam": keras.optimizers.Adam,
    "general": lambda: LearnedOptimizer("general"),
    "general, no guard": lambda: LearnedOptimizer("general", guard=False),
    "mnist": lambda: LearnedOptimizer("mnist"),
}


def step(optimizer: keras.optimizers.Optimizer, parameters: int) -> Callable[[], Any]:
    """A step on a layer of about so many parameters."""
    side = max(int(parameters**0.5), 1)
    variables = [keras.Variable(tf.random.stateless_normal(shape, [0, 1])) for shape in ([side, side], [side])]
    gradients = [tf.random.stateless_normal(variable.shape, [0, 2]) for variable in variables]
    optimizer.build(variables)
    return tf.function(lambda: optimizer.apply(gradients, variables), autograph=False)


def state_size(optimizer: keras.optimizers.Optimizer) -> int:
    """Numbers that the optimizer keeps between steps."""
    return sum(variable.shape.num_elements() or 0 for variable in map(tf.convert_to_tensor, optimizer.variables))


def main() -> None:
    """Writes `keras_step.csv` into the folder given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="results/tables", type=Path)
    parser.add_argument("--parameters", default=1_000_000, type=int)
    parser.add_argument("--repeats", default=50, type=int)
    arguments = parser.parse_args()
    began = time.monotonic()
    optimizers = {name: make() for name, make in OPTIMIZERS.items()}
    steps = {name: step(optimizer, arguments.parameters) for name, optimizer in optimizers.items()}
    table = pd.DataFrame({"seconds": median_seconds(steps, arguments.repeats)})
    table["times_adam"] = table.seconds / table.seconds["Adam"]
    table["state"] = {name: state_size(optimizer) / arguments.parameters for name, optimizer in optimizers.items()}
    print(table.to_string())
    text = table.to_csv(index_label="optimizer", float_format="%.3g")
    write_study(arguments.output / "keras_step.csv", text, arguments, began)


if __name__ == "__main__":
    main()
