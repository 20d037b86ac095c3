"""`python -m experiments.studies.update_cost`: what a step of each optimizer costs, per parameter.

Processor time of many steps within one compiled program, the least of several, on a vector that fits the cache; and the
numbers that the state holds for a parameter. ADAM's is the yardstick.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf

from experiments.results.record import write_study
from l2l_tf.optimizers import Adam, CoordinatewiseLSTM, CoordinatewiseOptimizer, LogAndSign, MomentumMLP, RNNprop
from l2l_tf.xla import compiled

OPTIMIZERS: dict[str, CoordinatewiseOptimizer] = {
    "ADAM": Adam(1e-3),
    "MLP of 8": MomentumMLP(hidden=(8,)),
    "MLP of 16": MomentumMLP(hidden=(16,)),
    "MLP of 8, 8": MomentumMLP(hidden=(8, 8)),
    "MLP of 16, 16 (general)": MomentumMLP(growth=0.5),
    "LSTM of 8": CoordinatewiseLSTM((8,), LogAndSign()),
    "LSTM of 20, 20 (the paper's)": CoordinatewiseLSTM((20, 20), LogAndSign()),
    "RNNprop": RNNprop(),
}


def nanoseconds(optimizer: CoordinatewiseOptimizer, coordinates: int, steps: int, repeats: int) -> float:
    """Processor time of one step for one parameter."""

    @compiled
    def run(gradients: tf.Tensor, state: Any) -> Any:
        def body(t: tf.Tensor, gradients: tf.Tensor, state: Any) -> Any:
            updates, state = optimizer.update(gradients, state)
            return t + 1, 0.999 * gradients + updates, state

        return tf.while_loop(lambda t, *_: t < steps, body, (tf.constant(0), gradients, state))

    gradients = tf.random.stateless_normal([coordinates], [1, 2])
    state = optimizer.init(gradients)
    times = []
    for _ in range(repeats + 1):  # the first one compiles
        began = time.process_time()
        run(gradients, state)
        times.append(time.process_time() - began)
    return min(times[1:]) / steps / coordinates * 1e9


def state_size(optimizer: CoordinatewiseOptimizer, coordinates: int) -> int:
    """Numbers that the state holds for one parameter."""
    leaves = tf.nest.flatten(optimizer.init(tf.zeros([coordinates])))
    return sum(leaf.shape.num_elements() for leaf in leaves) // coordinates


def main() -> None:
    """Writes `update_cost.csv` into the folder given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="results/tables", type=Path)
    parser.add_argument("--coordinates", default=8192, type=int)
    parser.add_argument("--steps", default=100, type=int)
    parser.add_argument("--repeats", default=5, type=int)
    arguments = parser.parse_args()
    began = time.monotonic()
    rows: list[tuple[str, float, float, float]] = []
    for name, optimizer in OPTIMIZERS.items():
        cost = nanoseconds(optimizer, arguments.coordinates, arguments.steps, arguments.repeats)
        numbers = state_size(optimizer, arguments.coordinates)
        rows.append((name, cost, cost / (rows[0][1] if rows else cost), numbers))
        print("{}: {:.1f} ns, {:.0f} times ADAM's, {} numbers".format(*rows[-1]), flush=True)
    table = pd.DataFrame(rows, columns=["optimizer", "nanoseconds", "times_adam", "state"])
    text = table.to_csv(index=False, float_format="%.3g")
    write_study(arguments.output / "update_cost.csv", text, arguments, began)


if __name__ == "__main__":
    main()
