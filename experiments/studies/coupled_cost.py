"""`python -m experiments.studies.coupled_cost`: what a step of appendix D's optimizers costs, by number of coordinates.

Processor time of several steps within one compiled program, the least of a few, and the memory of the state, for one
problem. NTM-BFGS and BFGS keep a matrix [n, n]: where it is refused, or takes too long, there is no row.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf

from experiments.results.record import write_study
from l2l_tf.errors import InputError
from l2l_tf.optimizers import BFGS, LBFGS, LSTMGAC, NTMBFGS, NTMLBFGS, CoordinatewiseLSTM, CoupledOptimizer, Optimizer
from l2l_tf.xla import compiled

OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "LSTM": CoordinatewiseLSTM,
    "LSTM+GAC": LSTMGAC,
    "NTM-BFGS": NTMBFGS,
    "NTM-L-BFGS": lambda: NTMLBFGS(history=10),
    "BFGS": lambda: BFGS(1.0),
    "L-BFGS": lambda: LBFGS(1.0),
}
LARGEST_MATRIX = 3000  # coordinates of an optimizer that keeps a matrix: a step of 10,000 is a minute


def cost(optimizer: Optimizer, n: int, steps: int, repeats: int) -> tuple[float, int]:
    """Processor seconds of a step for n coordinates of one problem, and the bytes of its state."""

    @compiled
    def run(gradients: tf.Tensor, state: Any) -> Any:
        def body(t: tf.Tensor, gradients: tf.Tensor, state: Any) -> Any:
            updates, state = optimizer.update(gradients, state)
            return t + 1, 0.999 * gradients + 1e-3 * updates, state

        return tf.while_loop(lambda t, *_: t < steps, body, (tf.constant(0), gradients, state))

    gradients = tf.random.stateless_normal([1, n] if isinstance(optimizer, CoupledOptimizer) else [n], [1, 2])
    state = optimizer.init(gradients)
    seconds = []
    for _ in range(repeats + 1):  # the first one compiles
        began = time.process_time()
        run(gradients, state)
        seconds.append((time.process_time() - began) / steps)
    return min(seconds[1:]), sum(leaf.shape.num_elements() * leaf.dtype.size for leaf in tf.nest.flatten(state))


def main() -> None:
    """Writes `coupled_cost.csv` into the folder given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="results/bench", type=Path)
    parser.add_argument("--coordinates", default=[10, 100, 1000, 10_000, 100_000], type=int, nargs="+")
    parser.add_argument("--steps", default=10, type=int)
    parser.add_argument("--repeats", default=3, type=int)
    arguments = parser.parse_args()
    began = time.monotonic()
    rows = []
    for name, make in OPTIMIZERS.items():
        for n in arguments.coordinates:
            optimizer = make()
            if isinstance(optimizer, BFGS | NTMBFGS) and n > LARGEST_MATRIX:
                continue
            try:
                seconds, size = cost(optimizer, n, arguments.steps, arguments.repeats)
            except InputError as error:
                print(f"{name}, {n}: {error}", flush=True)
                continue
            rows.append({"optimizer": name, "coordinates": n, "seconds": seconds, "state_bytes": size})
            print(f"{name}, {n}: {seconds:.3g} s, {size / 2**20:.3g} MiB", flush=True)
    table = pd.DataFrame(rows)
    text = table.to_csv(index=False, float_format="%.3g")
    write_study(arguments.output / "coupled_cost.csv", text, arguments, began)


if __name__ == "__main__":
    main()
