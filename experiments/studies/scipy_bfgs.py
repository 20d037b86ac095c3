"""`python -m experiments.studies.scipy_bfgs`: SciPy's BFGS and L-BFGS-B on appendix D's ill-conditioned quadratics.

They search along each direction, for which they evaluate f and its gradient several times an iteration. So that they
can stand beside optimizers that make one update a gradient, their curves are the lowest loss so far by the number of
evaluations; a method that stops keeps its last. The problems are the panels' test problems.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf
from scipy.optimize import minimize

from experiments.results.record import write_study
from l2l_tf import seeds
from l2l_tf.optimizees import IllConditioned
from l2l_tf.optimizers import SGD, everything
from l2l_tf.unroll import start

METHODS: dict[str, dict[str, float]] = {
    "BFGS": {"gtol": 0.0},
    "L-BFGS-B": {"gtol": 0.0, "ftol": 0.0},
}  # never done early
AT = (1, 10, 20, 50, 100)  # evaluations


def lowest_losses(method: str, evaluations: int, W: np.ndarray, minimum: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """The lowest of the first k losses of one problem, k = 1 ... `evaluations`."""
    losses: list[float] = []

    def loss_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
        residual = W @ (theta - minimum)
        losses.append(float(residual @ residual))
        return losses[-1], 2.0 * W.T @ residual

    minimize(loss_and_gradient, theta, jac=True, method=method, options={**METHODS[method], "maxiter": evaluations})
    best = np.minimum.accumulate(losses)[:evaluations]
    return np.pad(best, (0, evaluations - len(best)), mode="edge")


def study(dimension: int, problems: int, seed: int = 0) -> pd.DataFrame:
    """A row for each method and number of evaluations: the mean loss over the problems."""
    keys = seeds.problem_keys(seed, "test", range(problems))
    begin = start(IllConditioned(dimension), everything(SGD(1.0)), keys)
    drawn = begin.problem["W"].numpy(), begin.problem["minimum"].numpy(), begin.params["x"].numpy()
    arrays = [array.astype(np.float64) for array in drawn]
    rows = []
    for method in METHODS:
        curves = np.array([lowest_losses(method, max(AT), *one) for one in zip(*arrays, strict=True)])
        rows += [
            {"dimension": dimension, "method": method, "evaluations": k, "loss": curves[:, k - 1].mean(), "n": problems}
            for k in AT
        ]
    return pd.DataFrame(rows)


def main() -> None:
    """Writes `scipy_bfgs.csv` into the folder given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="results/tables", type=Path)
    parser.add_argument("--dimensions", default=[10, 50], type=int, nargs="+")
    parser.add_argument("--problems", default=200, type=int)
    arguments = parser.parse_args()
    began = time.monotonic()
    tf.get_logger().setLevel("ERROR")
    table = pd.concat([study(dimension, arguments.problems) for dimension in arguments.dimensions])
    text = table.to_csv(index=False, float_format="%.4g")
    write_study(arguments.output / "scipy_bfgs.csv", text, arguments, began)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
