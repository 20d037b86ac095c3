"""Multiruns on every launcher: a worker that is killed loses its own job, and the same command completes it."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
LAUNCHERS = [
    pytest.param(
        launcher,
        marks=pytest.mark.skipif(not importlib.util.find_spec(package), reason=f"{package} is not installed"),
    )
    for launcher, package in (("joblib", "joblib"), ("submitit_local", "submitit"), ("ray", "ray"))
]


def start(folder: Path, seeds: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.tiny_jobs", "-m", f"seed={seeds}"]
    places = [f"hydra.sweep.dir={folder}", "hydra.sweep.subdir=${seed}"]
    return subprocess.Popen(
        [*command, *places, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def kill_when_it_waits(waiting: Path, multirun: "subprocess.Popen[str]") -> None:
    """Ends with SIGKILL the worker that has left its process id in a file."""
    while not waiting.exists():
        assert multirun.poll() is None, multirun.communicate()
        time.sleep(0.05)
    os.kill(int(waiting.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_killed_worker_loses_its_own_job_which_the_same_command_completes(launcher: str, tmp_path: Path) -> None:
    command = (tmp_path, "0,1,2,4", f"hydra/launcher={launcher}")
    multirun = start(*command)
    kill_when_it_waits(tmp_path / "1" / "waiting", multirun)
    _, err = multirun.communicate()
    assert multirun.returncode == 1, err
    assert "Traceback" not in err
    lines = err.splitlines()[-2:]
    assert lines[0].startswith("1: lost, its worker ended before it did (")
    assert lines[1] == "error: 1 jobs failed; the same command does what is left"
    table = pd.read_csv(tmp_path / "sweep.csv", index_col="run", keep_default_na=False)
    assert table.index.tolist() == [0, 2, 4, 1]
    assert table.epochs.tolist() == [4.0, 4.0, 4.0, 2.0]
    assert table.error.astype(bool).tolist() == [False, False, False, True]

    multirun = start(*command)
    _, err = multirun.communicate()
    assert multirun.returncode == 0, err
    table = pd.read_csv(tmp_path / "sweep.csv", index_col="run", keep_default_na=False)
    assert table.epochs.tolist() == [4.0] * 4
    assert not table.error.any()
    assert (tmp_path / "1" / "weights").read_text() == repr(1 + 1 / 2 + 1 / 3 + 1 / 4)  # as if never disturbed


def test_a_multirun_on_this_machine_says_which_runs_were_refused(tmp_path: Path) -> None:
    multirun = start(tmp_path, "2,3", "hydra/launcher=basic")
    out, err = multirun.communicate()
    assert multirun.returncode == 1
    assert err.splitlines() == [
        "3: seed=3: must be another",
        "error: 1 jobs failed; the same command does what is left",
    ]
    assert "schedule" not in out  # only what differs between the runs is printed


def test_random_search_draws_the_rates_and_keeps_the_best(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="optuna is not installed")
    search = ["hydra/sweeper=random_search", "hydra.sweeper.n_trials=3", "hydra/launcher=basic"]
    multirun = start(tmp_path, "range(4,9)", *search, "hydra.sweep.subdir=${seed}-${schedule.learning_rate}")
    _, err = multirun.communicate()
    assert multirun.returncode == 0, err
    table = pd.read_csv(tmp_path / "sweep.csv")
    assert len(table) == 3
    assert table["schedule.learning_rate"].between(1e-4, 1e-1).all()
    assert table["schedule.learning_rate"].nunique() == 3
