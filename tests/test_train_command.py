"""`python -m experiments.train`: what it leaves, that it repeats and resumes exactly, and how it refuses bad input.

Starting TensorFlow is slow. So runs of the command are shared between tests, and wherever a process of its own does not
matter they run in this one (`train`), each exactly as `python -m` would.
"""

import contextlib
import errno
import io
import json
import os
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml
from commands import call

from experiments.composition.build import own_or_trusted
from experiments.diagnose import read_run
from experiments.results.trained import digest
from experiments.results.trainings import one_training
from l2l_tf.errors import InputError
from l2l_tf.files import load_arrays, save_arrays
from l2l_tf.optimizers import MomentumMLP
from l2l_tf.serialization.trained import load_optimizer

ROOT = Path(__file__).parent.parent
SMALL = [
    "optimizee=quadratic",
    "optimizee.dimension=2",
    "optimizee.functions=1",
    "optimizer.layers=[4]",
    "schedule.steps=10",
    "schedule.unroll=5",
    "schedule.problems=2",
    "schedule.validation.problems=4",
]
PAPER = [*SMALL, "schedule.epochs=120", "schedule.validation.every=10"]
STAGGERED = ["schedule=staggered", *SMALL, "schedule.epochs=60", "schedule.validation.every=5"]
SIMPLE = ["optimizee=simple", "optimizer=linear", "schedule.validation.problems=1"]
QUICK = [*SIMPLE, "schedule.steps=4", "schedule.unroll=2", "schedule.epochs=2", "schedule.validation.every=1"]
OTHER_CODE = "0123456789ab"  # a revision
FILES = {"checkpoint.safetensors", "history.csv", "optimizer.safetensors", "optimizer.yaml", "provenance.yaml"}


class Finished(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


def command(arguments: Sequence[str], folder: Path) -> list[str]:
    return [sys.executable, "-m", "experiments.train", *arguments, f"hydra.run.dir={folder}"]


def train(arguments: Sequence[str]) -> Finished:
    """Runs the command in this process."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["train", *arguments])
        try:
            runpy.run_module("experiments.train", run_name="__main__", alter_sys=True)
        except SystemExit as end:
            status = int(bool(end.code))
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
            status = 1
    return Finished(status, out.getvalue(), err.getvalue())


def train_alone(arguments: Sequence[str], folder: Path) -> Finished:
    """Runs the command in a process of its own."""
    run = subprocess.run(command(arguments, folder), cwd=ROOT, capture_output=True, text=True)
    return Finished(run.returncode, run.stdout, run.stderr)


def kill_after_the_first_checkpoint(arguments: Sequence[str], folder: Path) -> float:
    """Starts a training and ends it with SIGKILL at a random moment; returns how long that was after the checkpoint."""
    delay = random.uniform(0.0, 1.0)
    process = subprocess.Popen(
        command(arguments, folder), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (folder / "checkpoint.safetensors").exists():
        assert process.poll() is None, "the training ended without a checkpoint"
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    assert process.wait() == -signal.SIGKILL, f"the training was over {delay:.3f} s after its first checkpoint"
    return delay


def results_of(folder: Path) -> dict[str, bytes]:
    """What the trained weights are, to the last bit."""
    checkpoint = load_arrays(folder / "checkpoint.safetensors")
    del checkpoint["numbers"]  # it has the seconds that each round took
    history = pd.read_csv(folder / "history.csv").drop(columns="seconds")
    return {
        "optimizer": (folder / "optimizer.safetensors").read_bytes(),
        "optimizer.yaml": (folder / "optimizer.yaml").read_bytes(),
        "history": history.to_csv().encode(),
        **{name: array.tobytes() for name, array in checkpoint.items()},
    }


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file of a run but Hydra's, which are written by each command."""
    paths = [path for path in folder.rglob("*") if path.is_file() and ".hydra" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


# Trainings, each run once


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """A training that was never interrupted."""
    run = train_alone(PAPER, folder / "whole")
    assert run.status == 0, run.err
    assert run.out.startswith(f"{folder / 'whole'}: validation loss ")
    return folder / "whole"


@pytest.fixture(scope="module")
def killed(folder: Path) -> dict[str, Path]:
    """Trainings right after a SIGKILL."""
    names = {"paper": PAPER, "staggered": STAGGERED}
    with ThreadPoolExecutor() as pool:
        delays = pool.map(
            kill_after_the_first_checkpoint, names.values(), [folder / f"killed {name}" for name in names]
        )
    print(f"killed {', '.join(f'{delay:.3f} s' for delay in delays)} after the first checkpoint")
    return {name: folder / f"killed {name}" for name in names}


@pytest.fixture(scope="module")
def resumed(folder: Path, killed: dict[str, Path]) -> dict[str, Path]:
    """The killed trainings, started again by the same command; `killed` keeps a copy of what they started from."""
    originals = dict(killed)
    for name, original in originals.items():
        killed[name] = folder / f"copy of killed {name}"
        shutil.copytree(original, killed[name])
    record = originals["staggered"] / "provenance.yaml"
    record.write_text(yaml.safe_dump(yaml.safe_load(record.read_text()) | {"revisions": [OTHER_CODE]}))
    lines = (PAPER, originals["paper"]), (STAGGERED, originals["staggered"])
    runs = [train([*arguments, f"hydra.run.dir={place}"]) for arguments, place in lines]
    for run, by_other_code in zip(runs, (False, True), strict=True):
        assert run.status == 0, run.err
        assert ("goes on with other code" in run.out) is by_other_code
    return originals


@pytest.fixture(scope="module")
def trainings(folder: Path, whole: Path) -> dict[str, Finished]:
    """Other trainings."""
    shutil.copytree(whole, folder / "again")
    lines: dict[str, list[str]] = {
        "seed 0": QUICK,
        "seed 1": [*QUICK, "seed=1"],
        "staggered": STAGGERED,
        "again": PAPER,
        "multi": [
            "optimizee=simple",
            "optimizee.variables=2",
            "optimizer=simple_multi",
            "optimizer.groups.0.optimizer.layers=[4]",
            "schedule.epochs=4",
            "schedule.validation.every=2",
            "schedule.validation.problems=1",
        ],
        "simple": [
            *SIMPLE,
            "schedule.epochs=40",
            "schedule.validation.every=10",
            "schedule.learning_rate=0.05",
            "schedule.decay=cosine",
        ],
    }
    commands = [[*arguments, f"hydra.run.dir={folder / name}"] for name, arguments in lines.items()]
    here = ["-m", "hydra/launcher=basic", *QUICK]  # in this process, one job after the other
    commands.append([*here, "schedule.learning_rate=0.01,0.001", f"hydra.sweep.dir={folder / 'sweep'}"])
    diverging = folder / "diverging"
    diverging.joinpath("2").mkdir(parents=True)
    diverging.joinpath("2", "error.txt").write_text("of an earlier attempt")
    numbered = [f"hydra.sweep.dir={diverging}", "hydra.sweep.subdir=${hydra:job.num}"]
    commands.append([*here, "schedule.learning_rate=1e30,-1,0.001", *numbered])
    return dict(zip([*lines, "sweep", "diverging"], map(train, commands), strict=True))


def test_a_run_leaves_its_files_and_no_others(whole: Path) -> None:
    assert {path.name for path in whole.iterdir()} == FILES | {".hydra", ".lock", "tensorboard"}
    assert len(list((whole / "tensorboard").iterdir())) == 1
    history = pd.read_csv(whole / "history.csv")
    assert history["update"].tolist() == list(range(20, 241, 20))
    assert history.epoch.tolist() == list(range(10, 121, 10))
    config = yaml.safe_load((whole / "provenance.yaml").read_text())["config"]
    assert config["optimizee"]["dimension"] == 2
    assert config["seed"] == 0


def test_training_lowers_the_validation_loss_and_the_best_weights_are_kept(whole: Path) -> None:
    history = pd.read_csv(whole / "history.csv")
    assert history.validation_loss.min() < 0.8 * history.validation_loss.iloc[0]
    checkpoint = load_arrays(whole / "checkpoint.safetensors")
    numbers = json.loads(checkpoint["numbers"].tobytes())
    assert numbers["best_loss"] == pytest.approx(history.validation_loss.min(), rel=1e-4)
    best = load_arrays(whole / "optimizer.safetensors")
    for name, array in best.items():
        np.testing.assert_array_equal(array, checkpoint[f"best_weights/{name}"])
    assert load_optimizer(whole).trainable_variables


def test_another_seed_trains_other_weights(folder: Path, trainings: dict[str, Finished]) -> None:
    assert trainings["seed 0"].status == trainings["seed 1"].status == 0
    one, other = (load_arrays(folder / name / "optimizer.safetensors") for name in ("seed 0", "seed 1"))
    for name, array in one.items():
        assert (array != other[name]).mean() > 0.9


def test_a_killed_training_ends_with_the_weights_of_one_never_killed(whole: Path, resumed: dict[str, Path]) -> None:
    assert results_of(resumed["paper"]) == results_of(whole)


def test_a_killed_staggered_training_does_too(
    folder: Path, resumed: dict[str, Path], trainings: dict[str, Finished]
) -> None:
    assert trainings["staggered"].status == 0
    assert results_of(resumed["staggered"]) == results_of(folder / "staggered")


def test_a_killed_training_was_not_done(killed: dict[str, Path], resumed: dict[str, Path]) -> None:
    for name in killed:
        before, after = (len(pd.read_csv(runs[name] / "history.csv")) for runs in (killed, resumed))
        assert 0 < before < after == 12


def test_a_finished_training_started_again_changes_nothing(
    folder: Path, whole: Path, trainings: dict[str, Finished]
) -> None:
    assert trainings["again"].status == 0
    assert "after 240 meta-updates" in trainings["again"].out
    assert files_below(folder / "again") == files_below(whole)


def test_what_changes_once_an_optimizer_is_trained_leaves_its_weights_and_is_in_its_record(tmp_path: Path) -> None:
    general = [*QUICK, "optimizer=general", f"hydra.run.dir={tmp_path / 'run'}"]
    refused = train([*general, "+once_trained.growth=-1"])
    assert refused.status == 1
    assert "growth=-1" in refused.err
    assert not (tmp_path / "run").exists()
    assert train(general).status == 0
    before = results_of(tmp_path / "run")
    assert train([*general, "+once_trained.growth=0.5"]).status == 0
    after = results_of(tmp_path / "run")
    assert {name for name in before if before[name] != after[name]} == {"optimizer.yaml"}
    trained = load_optimizer(tmp_path / "run").groups[0].optimizer
    assert isinstance(trained, MomentumMLP)
    assert trained.growth == 0.5
    record = yaml.safe_load((tmp_path / "run" / "provenance.yaml").read_text())
    assert record["trained"] == digest(tmp_path / "run")
    assert record["config"]["once_trained"] == {"growth": 0.5}


def test_a_training_may_start_from_a_trained_optimizer(whole: Path, tmp_path: Path) -> None:
    first, still = tmp_path / "first", [*QUICK, "schedule.learning_rate=1e-12"]
    further = [*still, f"start_from={first}", f"hydra.run.dir={tmp_path / 'further'}"]
    assert train([*QUICK, "schedule.learning_rate=0.1", f"hydra.run.dir={first}"]).status == 0
    assert train(further).status == 0
    begun, trained = (load_arrays(path / "optimizer.safetensors") for path in (tmp_path / "further", first))
    for name, array in trained.items():
        np.testing.assert_allclose(begun[name], array, atol=1e-9)
    assert train(further).status == 0  # again: it is done
    refused = train([*still, f"hydra.run.dir={tmp_path / 'further'}"])
    assert (refused.status, "another configuration" in refused.err) == (1, True)
    for source in (tmp_path / "none", whole):  # nothing there; an optimizer of another shape
        wrong = train([*still, f"start_from={source}", f"hydra.run.dir={tmp_path / 'other'}"])
        assert (wrong.status, str(source) in wrong.err, wrong.err.count("\n")) == (1, True, 1)
    assert not (tmp_path / "other").exists()


def test_a_stored_training_is_read_with_the_weights_that_it_started_from() -> None:
    phis = read_run(Path("results/trained/mnist_second_derivatives"), None, own_or_trusted([])).phis
    for name, array in load_arrays(Path("results/trained/mnist/optimizer.safetensors")).items():
        np.testing.assert_array_equal(phis["untrained"][name], array)


def test_different_optimizers_for_different_variables_train_from_configuration_alone(
    folder: Path, trainings: dict[str, Finished]
) -> None:
    assert trainings["multi"].status == 0, trainings["multi"].err
    groups = load_optimizer(folder / "multi").groups
    assert [type(group.optimizer).__name__ for group in groups] == ["CoordinatewiseLSTM", "Adam"]
    assert [list(group.parameters) for group in groups] == [["x_0"], ["x_1"]]
    history = pd.read_csv(folder / "multi" / "history.csv")
    assert history.validation_loss.iloc[-1] < 2.0  # where it starts: 1² + 1²
    first, last = (
        load_arrays(folder / "multi" / "checkpoint.safetensors")[f"{kind}/0/w_output"] for kind in ("adam_m", "weights")
    )
    assert first.any()
    assert last.any()


def test_simple_is_solved_by_a_linear_learned_optimizer(folder: Path, trainings: dict[str, Finished]) -> None:
    assert trainings["simple"].status == 0, trainings["simple"].err
    history = pd.read_csv(folder / "simple" / "history.csv")
    assert history.epoch.iloc[-1] <= 500
    assert history.validation_loss.min() < 1e-5


def test_a_multirun_makes_a_folder_for_each_run_and_a_table_of_all(
    folder: Path, trainings: dict[str, Finished]
) -> None:
    assert trainings["sweep"].status == 0, trainings["sweep"].err
    runs = sorted(path for path in (folder / "sweep").iterdir() if path.is_dir())
    assert len(runs) == 2
    for run, rate in zip(runs, ("0.001", "0.01"), strict=True):
        assert {path.name for path in run.iterdir()} >= FILES
        assert f",schedule.learning_rate={rate}," in run.name
    table = pd.read_csv(folder / "sweep" / "sweep.csv")
    assert sorted(table["schedule.learning_rate"]) == [0.001, 0.01]
    assert len(pd.read_parquet(folder / "sweep" / "sweep.parquet")) == 2
    assert table.best_validation_loss.is_monotonic_increasing
    weights = [(run / "optimizer.safetensors").read_bytes() for run in runs]
    assert weights[0] != weights[1]


def test_runs_that_fail_do_not_stop_the_others_of_a_multirun_and_are_marked_in_its_table(
    folder: Path, trainings: dict[str, Finished]
) -> None:
    run = trainings["diverging"]
    assert run.status == 1
    *lines, last = run.err.splitlines()[-3:]
    assert all(re.fullmatch(r"[01]: .*schedule\.learning_rate=.*", line) for line in lines)
    assert last == "error: 2 jobs failed; the same command does what is left"
    assert run.err.lower().count("error") == 1
    assert "Traceback" not in run.err
    table = pd.read_csv(folder / "diverging" / "sweep.csv", index_col="schedule.learning_rate", keep_default_na=False)
    assert table.index[0] == 0.001
    assert table.error[0.001] == ""
    assert float(table.best_validation_loss[0.001]) < 1
    assert re.match(r"meta-update \d+: .*schedule\.learning_rate=1e\+30", table.error[1e30])
    assert table.error[-1.0].startswith("schedule.learning_rate=-1: must be")
    assert len(list((folder / "diverging").glob("*/optimizer.safetensors"))) == 1


# Refusals: one line, status 1, no traceback

REFUSALS: dict[str, tuple[list[str], str]] = {
    "unknown optimizee": (["optimizee=cubic"], "optimizee=cubic: must be one of .*quadratic, .*simple"),
    "unknown optimizer": (["optimizer=lbfgs"], "optimizer=lbfgs: must be one of adagrad, adam, .*lstm, .*sgd"),
    "unknown schedule": (["schedule=lazy"], "schedule=lazy: must be one of .*paper, .*staggered"),
    "unknown experiment": (["experiment=none"], "experiment=none: must be one of .*mnist, .*quadratic"),
    "unknown key": (["schedule.foo=1"], r"schedule\.foo=1: schedule\.foo is unknown; the keys of schedule are steps, "),
    "unknown key at the top": (["foo=1"], "foo=1: foo is unknown; the keys of the configuration are optimizee, "),
    "unknown key far below": (
        ["schedule.replay.foo.bar=1"],
        r"schedule\.replay\.foo\.bar=1: schedule\.replay\.foo is unknown; the keys of schedule\.replay are block_size",
    ),
    "key below a number": (["seed.foo=1"], r"seed\.foo=1: seed\.foo is unknown; seed has no keys"),
    "no value": (["schedule.steps"], r"schedule\.steps"),
    "added argument": (["+schedule.foo=1"], "foo"),
    "indivisible steps": (
        ["schedule.steps=30", "schedule.unroll=20"],
        r"schedule\.steps=30: must be a multiple of unroll=20",
    ),
    "zero size": (["optimizee.dimension=0"], r"optimizee\.dimension=0: must be an integer of at least 1"),
    "negative size": (["optimizer.layers=[-3]"], r"optimizer\.layers=-3: must be an integer of at least 1"),
    "zero problems": (["schedule.problems=0"], r"schedule\.problems=0: must be an integer of at least 1"),
    "negative epochs": (["schedule.epochs=-5"], r"schedule\.epochs=-5: must be an integer of at least 1"),
    "no number": (["schedule.steps=many"], r"schedule\.steps=many: must be an integer"),
    "zero epochs": (["schedule.epochs=0"], r"schedule\.epochs=0: must be an integer of at least 1"),
    "zero optimizations": (
        ["schedule.optimizations=0"],
        r"schedule\.optimizations=0: must be an integer of at least 1",
    ),
    "decay": (["schedule.decay=linear"], r"schedule\.decay=linear: must be one of cosine, none"),
    "zero norm": (["schedule.clip_norm=0"], r"schedule\.clip_norm=0: must be a finite number above 0"),
    "zero fraction": (["schedule.replay.fraction=0"], r"schedule\.replay\.fraction=0: must be"),
    "fraction above one": (["schedule.replay.fraction=1.5"], r"schedule\.replay\.fraction=1\.5: must be"),
    "indivisible shortest": (
        ["schedule.shortest=30"],
        r"schedule\.shortest=30: must be a multiple of unroll",
    ),
    "long shortest": (["schedule.shortest=120"], r"schedule\.shortest=120: .*at most steps=100"),
    "no integer": (["schedule.shortest=20.0"], r"schedule\.shortest=20\.0: must be an integer"),
    "no truth value": (
        ["schedule.second_derivatives=perhaps"],
        r"schedule\.second_derivatives=perhaps: must be of type bool",
    ),
    "negative limit": (["schedule.curvature_limit=-1"], r"schedule\.curvature_limit=-1: must be"),
    "no replay": (["schedule.replay=null"], r"schedule\.replay=None: must be of type Replay"),
    "no group": (["optimizer=null"], "optimizer=null: must be a name, of a file in conf/optimizer$"),
    "no name": (["experiment=quadratic", "name=null", "seed=-1"], "seed=-1"),
    "unknown weights": (["schedule.weights=first"], r"schedule\.weights=first: must be one of all, final"),
    "weights": (["schedule.weights=[1,2]"], r"schedule\.weights=\[1, 2\]: must be"),
    "negative seed": (["seed=-1"], "seed=-1: must be an integer of at least 0"),
    "nothing to train": (["optimizer=sgd"], "optimizer: has nothing to train"),
    "no optimizer": (
        ["optimizer=sgd", "optimizer._target_=l2l_tf.optimizers.Identity", "~optimizer.learning_rate"],
        "optimizer=Identity: must be of type CoordinatewiseOptimizer or CoupledOptimizer or ParameterGroups$",
    ),
    "no optimizer in a group": (
        ["optimizer=simple_multi", "optimizer.groups.1.optimizer=3"],
        r"optimizer\.groups: optimizer=3: must be of type CoordinatewiseOptimizer or CoupledOptimizer$",
    ),
    "no groups": (["optimizer=simple_multi", "optimizer.groups=5"], r"optimizer\.groups=5: must be a list"),
    "no list of names": (
        ["optimizer=simple_multi", "optimizer.groups.0.parameters=x_0"],
        r"optimizer\.groups: parameters=x_0: must be a list",
    ),
    "no list of layers": (["optimizer.layers=5"], r"optimizer\.layers=5: must be a list"),
    "no preprocessing": (
        ["optimizer.preprocessing=5"],
        r"optimizer\.preprocessing=5: must be of type Preprocessing$",
    ),
    "no optimizee": (
        ["optimizee=simple", "optimizee._target_=builtins.dict"],
        "optimizee=dict: must be of type Optimizee$",
    ),
    "pattern": (
        ["optimizee=simple", "optimizer=simple_multi"],
        r"optimizer\.groups: pattern 'x_1' matches none of x_0$",
    ),
    "final loss alone of lengths that vary": (
        ["schedule.shortest=20", "schedule.weights=final"],
        r"schedule\.weights=final: must be all or inverse_loss with shortest=",
    ),
    "listed weights of lengths that vary": (
        ["schedule.shortest=20", f"schedule.weights=[{','.join(['1'] * 100)}]"],
        r"schedule\.weights=\[1, .*must be all or inverse_loss with shortest=20",
    ),
    "weights of zero": ([f"schedule.weights=[{','.join(['0'] * 100)}]"], r"schedule\.weights=.*must have one above 0"),
    "no output": (["optimizer.output_scale=0"], r"optimizer\.output_scale=0: must be a finite number above 0"),
    "a rate of nothing": (
        ["schedule.learning_rate=1e-320"],
        r"schedule\.learning_rate=1e-320: must be a finite number above 0, at least 1\.18e-38",
    ),
    "a rate without end": (["schedule.learning_rate=1e39"], r"schedule\.learning_rate=1e\+39: must be"),
    "a norm of nothing": (["schedule.clip_norm=1e-46"], r"schedule\.clip_norm=1e-46: must be"),
    "a wide derivative": (
        ["optimizer=lstm_preprocessed", "+optimizer.preprocessing.derivative_width=1e39"],
        r"derivative_width=1e\+39: must be",
    ),
    "beyond 64 bits": (["seed=99999999999999999999"], "seed=99999999999999999999: must be"),
    "an unknown argument": (["+optimizer.foo=1"], r"optimizer\.foo=1: l2l_tf\.\S+ has no such argument; it has layers"),
    "compile": (["optimizee=mnist_mlp", "optimizee.compile=5"], r"optimizee\.compile=5: must be|compile"),
    "another split": (
        ["optimizee=mnist_mlp", "optimizee.data.split=foo"],
        r"optimizee\.data\.split=foo: must stay train",
    ),
    "null as a name": (["name=null"], "name=null: must be text"),
    "a list as a name": (["name=[1]"], r"name=\[1\]: must be text"),
    "a folder as a name": (["name=.."], r"name=\.\.: must be a name of letters"),
    "null as panels": (["panels=null"], "panels=null: must be a list"),
    "a number as panels": (["panels=5"], "panels=5: must be a list"),
    "a key of panels": (["+panels.x=5"], "panels"),
    "a number to tune on": (["tune_on=5"], "tune_on=5: must be a mapping"),
    "a list to train on": (["train_on=[1]"], r"train_on=\[1\]: must be a name, of a file in conf/train_on"),
    "no data": (["optimizee=mnist_mlp", "data.dir=/nowhere"], r"/nowhere/mnist/.*missing: run `make data`"),
}


@pytest.fixture(scope="module")
def refusals(folder: Path, killed: dict[str, Path], resumed: dict[str, Path]) -> dict[str, Finished]:
    """All command lines that must be refused."""
    state = killed["paper"]
    damages = ("truncated", "empty", "another configuration", "diverged")
    for name in damages:
        shutil.copytree(state, folder / name)
    checkpoint = (state / "checkpoint.safetensors").read_bytes()
    (folder / "truncated" / "checkpoint.safetensors").write_bytes(checkpoint[: len(checkpoint) // 2])
    (folder / "empty" / "checkpoint.safetensors").write_bytes(b"")
    # Weights as a learning rate that is far too large leaves them.
    arrays = load_arrays(state / "checkpoint.safetensors")
    huge = {name: array * np.float32(1e30) for name, array in arrays.items() if name.startswith("weights/")}
    save_arrays(folder / "diverged" / "checkpoint.safetensors", arrays | huge)
    (folder / "file").write_text("in the way")
    lines = {
        **{
            name: [*arguments, f"hydra.run.dir={folder / 'refused' / name}"]
            for name, (arguments, _) in REFUSALS.items()
        },
        **{name: [*PAPER, f"hydra.run.dir={folder / name}"] for name in damages},
        "unwritable": [*PAPER, f"hydra.run.dir={folder / 'file' / 'below'}"],
        "too fast": [*PAPER, "schedule.learning_rate=1e30", f"hydra.run.dir={folder / 'too fast'}"],
    }
    lines["another configuration"].append("seed=1")
    return dict(zip(lines, map(train, lines.values()), strict=True))


def the_line(run: Finished, training: bool = False) -> str:
    """The one line of a refusal; a training that had begun has its progress bar before it."""
    assert run.status == 1
    assert run.out == ""
    assert "Traceback" not in run.err
    lines = run.err.splitlines()
    if not training:
        assert len(lines) == 1, run.err
    assert [line.startswith("error: ") for line in lines] == [False] * (len(lines) - 1) + [True]
    return lines[-1].removeprefix("error: ")


@pytest.mark.parametrize("name", REFUSALS)
def test_a_bad_command_line_is_refused_in_one_line_and_leaves_nothing(
    folder: Path, refusals: dict[str, Finished], name: str
) -> None:
    assert re.search(REFUSALS[name][1], the_line(refusals[name]))
    assert not (folder / "refused" / name).exists()


@pytest.mark.parametrize("name", ["truncated", "empty"])
def test_a_truncated_checkpoint_is_refused_and_left_alone(
    folder: Path, refusals: dict[str, Finished], name: str
) -> None:
    path = folder / name / "checkpoint.safetensors"
    assert re.match(re.escape(str(path)) + ": damaged", the_line(refusals[name]))
    assert path.exists()


def test_a_checkpoint_of_another_configuration_is_refused_and_left_alone(
    folder: Path, killed: dict[str, Path], refusals: dict[str, Finished]
) -> None:
    line = the_line(refusals["another configuration"])
    assert str(folder / "another configuration" / "checkpoint.safetensors") in line
    assert "another configuration" in line
    assert "hydra.run.dir" in line
    assert files_below(folder / "another configuration") == files_below(killed["paper"])


def test_an_output_folder_that_cannot_be_made_is_refused(folder: Path, refusals: dict[str, Finished]) -> None:
    line = the_line(refusals["unwritable"])
    assert str(folder / "file") in line
    assert (folder / "file").read_text() == "in the way"


def test_a_learning_rate_that_makes_the_loss_nan_ends_the_training_and_names_the_step(
    folder: Path, refusals: dict[str, Finished]
) -> None:
    line = the_line(refusals["too fast"], training=True)
    assert re.match(r"meta-update \d+: .*(nan|inf).*schedule\.learning_rate=1e\+30.*there is no checkpoint yet$", line)
    assert not (folder / "too fast" / "optimizer.safetensors").exists()


def test_a_training_that_diverges_keeps_its_last_good_checkpoint(
    folder: Path, killed: dict[str, Path], refusals: dict[str, Finished]
) -> None:
    line = the_line(refusals["diverged"], training=True)
    kept, before = (load_arrays(path / "checkpoint.safetensors") for path in (folder / "diverged", killed["paper"]))
    last = json.loads(before["numbers"].tobytes())["update"]  # history.csv may be a round ahead of it
    assert re.match(rf"meta-update \d+: .*(nan|inf).*the checkpoint of meta-update {last} is kept$", line)
    np.testing.assert_array_equal(kept["numbers"], before["numbers"])
    weights = [(path / "optimizer.safetensors").read_bytes() for path in (folder / "diverged", killed["paper"])]
    assert weights[0] == weights[1]


def test_the_real_command_refuses_with_nothing_but_its_line(tmp_path: Path) -> None:
    run = train_alone(["optimizee=cubic"], tmp_path / "run")
    assert run.status == 1
    assert run.out == ""
    assert run.err.startswith("error: optimizee=cubic: must be one of ")
    assert run.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


# One folder, one training.


def test_a_refused_training_changes_nothing(whole: Path) -> None:
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    refused = train([*PAPER, "seed=3", f"hydra.run.dir={whole}"])
    assert refused.status == 1
    assert "belongs to a training with another configuration" in refused.err
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


def test_a_folder_in_which_a_training_runs_is_refused(tmp_path: Path) -> None:
    with one_training(tmp_path, ""):
        refused = train([*QUICK, f"hydra.run.dir={tmp_path}"])
    assert refused.status == 1
    assert "another training is running there" in refused.err
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


WITHOUT_UNIX = """
import importlib, pkgutil, runpy, sys
sys.modules |= dict.fromkeys(("fcntl", "pwd", "resource"))  # which Windows has not
import experiments, l2l_tf
for package in (experiments, l2l_tf):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
del sys.modules["experiments.train"]
runpy.run_module("experiments.train", run_name="__main__", alter_sys=True)
"""


def test_what_windows_lacks_is_not_needed_and_a_second_training_is_refused_there_too(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_UNIX, *QUICK, f"hydra.run.dir={tmp_path}"]
    with one_training(tmp_path, ""):
        refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 1, refused.stderr
    assert refused.stderr == f"error: hydra.run.dir={tmp_path}: another training is running there; choose another\n"
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_locked_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with pytest.raises(InputError, match=r"\.lock: cannot be locked \(unable to open database file\)$"):
        one_training(tmp_path, "").__enter__()


def test_a_training_that_other_code_goes_on_with_records_both(resumed: dict[str, Path]) -> None:
    paper, staggered = (yaml.safe_load((resumed[name] / "provenance.yaml").read_text()) for name in resumed)
    assert staggered["revisions"] == [OTHER_CODE, *paper["revisions"]]


# A full disk.


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the command a second time in this process
@pytest.mark.parametrize(
    ("fits", "name"),
    [(0, ".hydra/config.yaml"), (3, "optimizer.safetensors"), (6, "checkpoint.safetensors"), (10, "provenance.yaml")],
)
def test_a_full_disk_is_one_line_that_names_the_file_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: int, name: str
) -> None:
    written, write_bytes = [0], Path.write_bytes

    def write(path: Path, content: bytes) -> int:
        written[0] += 1
        if written[0] <= fits:
            return write_bytes(path, content)
        write_bytes(path, bytes(content)[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # without a name, as of a file that is open

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", write)
        line = call("train", *QUICK, f"hydra.run.dir={tmp_path}")
    assert line == f"error: {tmp_path / name}: cannot be written (No space left on device)"
    assert not list(tmp_path.rglob("*.tmp"))
    assert (tmp_path / "checkpoint.safetensors").exists() == (fits > 6)
    assert call("train", *QUICK, f"hydra.run.dir={tmp_path}") == ""  # with space again it goes on
    assert load_optimizer(tmp_path)
