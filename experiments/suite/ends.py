"""`python -m experiments.suite.ends`: is the model better than at its start, on all of a task's examples?

The suite's losses are means over the last minibatches of a run, as the paper's curves are. At step 100 these are five,
of 160 to 320 examples, which may happen to be hard ones. Here f is the mean over all examples, but
for the last few that fill no minibatch, at θ_0 and at θ_t.
"""

import argparse
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import tensorflow as tf

from experiments.results.record import write_record
from experiments.results.tables import write_table
from experiments.suite.runs import DEFAULT, HORIZONS
from experiments.suite.tasks import TASKS, Task
from l2l_tf import seeds
from l2l_tf.checks import at_least, one_of
from l2l_tf.optimizers import Adam, ParameterGroups, everything
from l2l_tf.serialization.trained import load_optimizer
from l2l_tf.unroll import Optimization, rollout, start
from l2l_tf.xla import compiled

COLUMNS = ["task", "optimizer", "seed", "horizon", "start", "end"]
AT_ONCE = 100  # steps, of which all horizons are multiples

Ends = tuple[int, int, float, float]


def ends(task: Task, optimizer: ParameterGroups, seeds_wanted: Iterable[int], steps: int) -> Iterator[Ends]:
    """Seed, horizon, f(θ_0) and f(θ_horizon) for each horizon up to `steps`, of the suite's own test problems."""

    @tf.function(autograph=False)
    def begin(keys: tf.Tensor) -> Optimization:  # by XLA θ_0 would be another one
        return start(task, optimizer, keys)

    def on_from(at: Optimization, first: tf.Tensor) -> Optimization:
        return rollout(task, optimizer, at, first, AT_ONCE, record=False).end

    def of_all(at: Optimization) -> tf.Tensor:
        return task.loss_of_all({name: tensor[0] for name, tensor in at.params.items()})

    on_from, of_all = compiled(on_from), compiled(of_all)
    for seed in seeds_wanted:
        at = begin(seeds.problem_keys(0, "test", [seed]))
        first_loss = float(of_all(at))
        for step in range(0, steps, AT_ONCE):
            at = on_from(at, tf.constant(step))
            if step + AT_ONCE in HORIZONS:
                yield seed, step + AT_ONCE, first_loss, float(of_all(at))


def main() -> None:
    """Writes `<results>/tables/general_ends.csv`, of `general` and ADAM at Keras's rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", default="results", type=Path)
    parser.add_argument("--data", default="data")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--seeds", default=5, type=int)
    parser.add_argument("--steps", default=max(HORIZONS), type=int)
    arguments = parser.parse_args()
    tasks = [one_of("tasks", name, TASKS) for name in arguments.tasks]
    wanted, steps = at_least("seeds", arguments.seeds, 1), at_least("steps", arguments.steps, min(HORIZONS))
    optimizers = {
        "general": load_optimizer(arguments.results / "trained" / "general"),
        "Adam default": everything(Adam(DEFAULT)),
    }
    rows, began = [], time.monotonic()
    for task in tasks:
        for name, optimizer in optimizers.items():
            found = list(ends(TASKS[task].make(arguments.data), optimizer, range(wanted), steps))
            rows += [(task, name, *row) for row in found]
            above = sum(not end < begin for *_, begin, end in found)
            print(f"{task}, {name}: {above} of {len(found)} above the start", flush=True)
    path = arguments.results / "tables" / "general_ends"
    write_table(path, pd.DataFrame(rows, columns=COLUMNS))
    write_record(path, {"tasks": tasks, "seeds": wanted, "steps": steps}, time.monotonic() - began)


if __name__ == "__main__":
    main()
