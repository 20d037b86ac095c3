"""`python -m experiments.suite.networks general`: trained optimizers on five MNIST networks whose θ_0 is small.

The networks of the paper's figures 5 and 6 at the released code's deviation of θ_0, 0.01, which leaves deep ones on a
plateau at first; test images, means over the steps 191 to 200 and 991 to 1,000. The bars are the best of ADAM at rates
of 3e-3, 1e-2 and 3e-2, of RNNprop's published weights, and of a first sketch of a general optimizer.

`--growth 0 0.25 0.5` instead compares values of `MomentumMLP`'s growth, on training images: how `general`'s was chosen.
"""

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from experiments.results.record import write_study
from l2l_tf import seeds
from l2l_tf.data import Images, load_mnist
from l2l_tf.optimizees import SonnetClassifier, mlp
from l2l_tf.optimizers import ParameterGroups, everything
from l2l_tf.serialization.plain_yaml import read_yaml
from l2l_tf.serialization.trained import build_optimizer, load_optimizer, load_weights
from l2l_tf.unroll import rollout, start
from l2l_tf.xla import compiled

NETWORKS = {  # layers, units, activation, bars at 200 and 1,000
    "1 x 20 sigmoid": (1, 20, "sigmoid", 0.229, 0.075),
    "2 x 20 sigmoid": (2, 20, "sigmoid", 0.462, 0.096),
    "3 x 80 sigmoid": (3, 80, "sigmoid", 1.17, 0.024),
    "1 x 20 ReLU": (1, 20, "relu", 0.211, 0.043),
    "2 x 80 ReLU": (2, 80, "relu", 0.103, 0.0045),
}


def measure(optimizer: ParameterGroups, images: Images, stream: str, problems: int) -> pd.DataFrame:
    """One row per network: its losses at both horizons, and whether they reach the bars."""
    rows = []
    for name, (layers, units, activation, *bars) in NETWORKS.items():
        optimizee = SonnetClassifier(partial(mlp, layers, units, activation), images, compile=True)
        run = compiled(rollout)
        losses = []
        for k in range(problems):
            begin = start(optimizee, optimizer, seeds.problem_keys(0, stream, [k]))
            curve = run(optimizee, optimizer, begin, 0, 1000, record=False).losses.numpy()[:, 0]
            losses.append([curve[191:201].mean(), curve[991:1001].mean()])
        at_200, at_1000 = pd.DataFrame(losses).mean()
        rows.append((name, at_200, bars[0], at_1000, bars[1], at_200 <= bars[0], at_1000 <= bars[1]))
        print(rows[-1], flush=True)
    return pd.DataFrame(
        rows, columns=["network", "at_200", "bar_200", "at_1000", "bar_1000", "holds_200", "holds_1000"]
    )


def with_growth(folder: Path, growth: float) -> ParameterGroups:
    """A trained `MomentumMLP` with another growth."""
    config = read_yaml(folder / "optimizer.yaml")
    optimizer = everything(build_optimizer({**config, "growth": growth}))
    load_weights(optimizer, folder)
    return optimizer


def compared(folder: Path, growths: Sequence[float], directory: str, problems: int) -> pd.DataFrame:
    """One row per growth and network, on training images: columns growth, network, at_200, at_1000."""
    images, tables = load_mnist(directory, "train"), []
    for growth in growths:
        table = measure(with_growth(folder, growth), images, "validation", problems)
        tables.append(table[["network", "at_200", "at_1000"]].assign(growth=growth))
    return pd.concat(tables)[["growth", "network", "at_200", "at_1000"]]


def main() -> None:
    """Writes `networks.csv`, or `growth.csv`, into the trained optimizer's folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of a trained optimizer's folder")
    parser.add_argument("--trained", default="results/trained", type=Path)
    parser.add_argument("--data", default="data")
    parser.add_argument("--problems", default=5, type=int)
    parser.add_argument("--growth", type=float, nargs="+", help="values to compare on training images")
    arguments = parser.parse_args()
    began = time.monotonic()
    folder = arguments.trained / arguments.name
    if arguments.growth:
        name, table = "growth", compared(folder, arguments.growth, arguments.data, arguments.problems)
    else:
        images = load_mnist(arguments.data, "test")
        name, table = "networks", measure(load_optimizer(folder), images, "test", arguments.problems)
    write_study(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.4g"), arguments, began)


if __name__ == "__main__":
    main()
