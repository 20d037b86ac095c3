"""Not a test: many processes that fill one store of runs at once, as the workers of a cluster do; some are killed.

`python -m tests.crowd FOLDER PROCESSES RUNS`. Every process goes through the same runs in an order of its own: it looks
for each, and writes those that it does not find. One process in four is killed by SIGKILL at a random moment.
"""

import multiprocessing
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.results.run import Run, Spec
from experiments.results.store import Store, records


@dataclass
class Outcome:
    """Runs that are whole in the end, writes by processes that were not killed, killed ones, files that those left."""

    whole: int
    writes: int
    killed: int
    left: int
    seconds: float


def spec(number: int) -> Spec:
    return Spec({"_target_": "Quadratic", "dimension": number}, {"_target_": "SGD"}, "test", 0, 20, 100)


def work(folder: Path, seed: int, runs: int) -> None:
    """One worker; ends with an error if it finds a file that is not whole."""
    store, order, writes = Store(folder), list(range(runs)), 0
    random.Random(seed).shuffle(order)
    for number in order:
        if store.find(spec(number)) is None:
            losses = np.random.default_rng(number).random([20, 101], np.float32)
            store.write(Run(spec(number), losses, losses[0, :3], {"seconds": 1.0}))
            writes += 1
    (folder / f"writes of {seed}").write_text(str(writes))  # no lock, which one that is killed would never release


def crowd(folder: Path, processes: int, runs: int) -> Outcome:
    """Raises RuntimeError if a worker that was not killed found a bad file."""
    began, context = time.monotonic(), multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(folder, seed, runs)) for seed in range(processes)]
    for worker in workers:
        worker.start()
    doomed = workers[: processes // 4]
    for worker in doomed:
        time.sleep(random.uniform(0.0, 0.05))
        os.kill(worker.pid or 0, signal.SIGKILL)
    for worker in workers:
        worker.join()
    failed = [worker.exitcode for worker in workers if worker.exitcode not in (0, -signal.SIGKILL)]
    if failed:
        raise RuntimeError(f"{len(failed)} workers found a file that is not whole")
    killed = sum(worker.exitcode == -signal.SIGKILL for worker in workers)
    left = len(list((folder / "runs").glob(".*")))
    writes = sum(int(path.read_text()) for path in folder.glob("writes of *"))
    return Outcome(len(records(folder)), writes, killed, left, time.monotonic() - began)


if __name__ == "__main__":
    print(crowd(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
