"""Forked tasks, in a process without TensorFlow."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.composition.side_by_side import side_by_side

PROGRAM = """
import os
from functools import partial
from experiments.composition.side_by_side import side_by_side
from l2l_tf.errors import InputError

def refuse():
    raise InputError("key=1: must be 2")

results = side_by_side([lambda: (os.getpid(), 1), lambda: (os.getpid(), 2)])
assert [result for _, result in results] == [1, 2]
assert all(pid != os.getpid() for pid, _ in results)
try:
    side_by_side([lambda: None, refuse])
except InputError as error:
    print(error)
"""


def test_tasks_run_in_this_process_with_tensorflow() -> None:
    done: list[int] = []
    assert side_by_side([lambda: done.append(1), lambda: done.append(2)]) == [None, None]
    assert done == [1, 2]


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
def test_tasks_run_in_processes_of_their_own_without_and_their_errors_come_back() -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=Path(__file__).parent.parent, capture_output=True, text=True
    )
    assert (run.stdout, run.stderr) == ("key=1: must be 2\n", "")
