"""What `experiments.tune`, `evaluate` and `verify` use again, what they make anew, and what they never touch."""

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from commands import call, call_all, save_lstm

from experiments.composition.panel import compose_panel
from experiments.results import making
from experiments.results.making import Maker, Probe, first_difference, probe
from experiments.results.run import Run, Spec
from experiments.results.store import Store, read
from experiments.results.verification import check_trained
from l2l_tf.evaluation.bulk import rate_curves
from l2l_tf.optimizees import Optimizee, Parameters, Quadratic
from l2l_tf.optimizers import NAG, SGD, AdaGrad, Adam, AdamW, HandDesigned, Momentum, RMSprop
from l2l_tf.serialization.plain_yaml import read_yaml
from l2l_tf.serialization.trained import load_optimizer, read_variables, save_optimizer

TINY = [
    "panel=figure_4_left",
    "optimizee.dimension=2",
    *(f"panel.{name}" for name in ("steps=3", "problems=2", "tuning.problems=2", "tuning.per_decade=1")),
    "panel.tuning.low=1e-2",
    "~panel.baselines.RMSprop",
    "~panel.baselines.ADAM",
]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    save_lstm(folder, "quadratic")
    assert call("evaluate", *TINY, f"results={folder}") == ""
    return folder


@pytest.fixture
def results(tmp_path: Path, evaluated: Path) -> Path:
    shutil.copytree(evaluated, tmp_path, dirs_exist_ok=True)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "runs").iterdir())}


def values(folder: Path) -> dict[str, bytes]:
    """The losses of every run, without the records, which have times in them."""
    return {path.stem: read(path).losses.tobytes() for path in sorted((folder / "runs").glob("*.parquet"))}


def by_optimizer(folder: Path) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for path in (folder / "runs").glob("*.parquet"):
        run = read(path)
        found.setdefault(str(run.spec.optimizer["_target_"]).rpartition(".")[2], []).append(run)
    return found


def break_code(monkeypatch: pytest.MonkeyPatch, *kinds: type[HandDesigned]) -> None:
    """Every update one percent too small."""

    def broken(update: Callable[..., Any]) -> Callable[..., Any]:
        def slower(*arguments: Any) -> Any:
            updates, state = update(*arguments)
            return 0.99 * updates, state

        return slower

    for kind in kinds:
        monkeypatch.setattr(kind, "update", broken(kind.update))


def test_a_second_evaluation_makes_nothing(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(results)
    assert call("evaluate", *TINY, f"results={results}") == ""
    assert contents(results) == before
    assert f"0 runs made, {len(before)} were stored" in capsys.readouterr().out


def test_refresh_makes_all_again_with_the_same_values(results: Path) -> None:
    before, losses = contents(results), values(results)
    assert call("evaluate", *TINY, f"results={results}", "refresh=true") == ""
    assert values(results) == losses
    assert all(content != before[name] for name, content in contents(results).items())


def test_an_optimizer_whose_code_changed_runs_again_and_no_other(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(results)
    break_code(monkeypatch, NAG)
    assert call("evaluate", *TINY, f"results={results}") == ""
    changed = {name for name, content in contents(results).items() if before.get(name) != content}
    runs = [read(results / "runs" / name) for name in changed]
    assert {run.spec.optimizer["_target_"] for run in runs} == {"l2l_tf.optimizers.NAG"}
    assert len([run for run in runs if not run.spec.mean]) == 1
    assert "made again: the first losses are" in capsys.readouterr().out


def test_what_code_made_that_was_edited_since_is_not_used_after_a_kill(
    results: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("edited")
    save_lstm(folder, "quadratic")
    with pytest.MonkeyPatch.context() as edited:
        break_code(edited, NAG, SGD)
        assert call("tune", *TINY, f"results={folder}") == ""  # and no further
    assert call("evaluate", *TINY, f"results={folder}") == ""
    assert values(folder).items() >= values(results).items()


def test_new_weights_and_new_settings_of_a_learned_optimizer_are_new_runs(results: Path) -> None:
    before = contents(results)
    save_lstm(results, "quadratic", seed=1)
    assert call("evaluate", *TINY, f"results={results}") == ""
    save_lstm(results, "quadratic", seed=1, output_scale=0.5)
    assert call("evaluate", *TINY, f"results={results}") == ""
    assert {name: contents(results)[name] for name in before} == before
    learned = by_optimizer(results)["CoordinatewiseLSTM"]
    assert len(learned) == len({run.losses.tobytes() for run in learned}) == 3


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda content: b"",
    "cut short": lambda content: content[:-100],
    "a byte changed": lambda content: content[:60] + bytes([content[60] ^ 1]) + content[61:],
    "something else": lambda content: b"no",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_made_again_and_said(results: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    losses = values(results)
    for path in (results / "runs").iterdir():
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert call("evaluate", *TINY, f"results={results}") == ""
    assert values(results) == losses
    assert "made again" in capsys.readouterr().out


def test_a_run_of_another_panel_under_this_name_is_made_again(results: Path) -> None:
    losses = values(results)
    first, second, *_ = sorted((results / "runs").iterdir())
    first.write_bytes(second.read_bytes())
    assert call("evaluate", *TINY, f"results={results}") == ""
    assert values(results) == losses


KILLS = int(os.environ.get("L2L_KILLS", "2"))


def test_killed_at_any_moment_the_same_commands_end_with_the_same_values(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """SIGKILL, as often as `L2L_KILLS` says, at moments drawn from all of the time that tuning and evaluating take."""
    arguments = [*TINY, "~panel.baselines.NAG"]
    whole = tmp_path_factory.mktemp("whole")
    save_lstm(whole, "quadratic")
    killed(arguments, whole, after=0.0)  # now the server has imported everything
    began = time.monotonic()
    assert not killed(arguments, whole, after=600.0)
    duration, expected, draw = time.monotonic() - began, values(whole), random.Random(0)
    moments = [(k + draw.random()) / KILLS * duration for k in range(KILLS)]
    draw.shuffle(moments)
    while moments:
        folder = tmp_path_factory.mktemp("killed")
        save_lstm(folder, "quadratic")
        for moment in moments[-2:]:  # killed, and killed again while it goes on
            if killed(arguments, folder, after=moment):
                print(f"killed after {moment:.1f} of {duration:.1f} s; {len(values(folder))} runs are there")
                moments.remove(moment)
            else:
                moments[moments.index(moment)] *= 0.9  # it had ended by then
        assert not killed(arguments, folder, after=600.0)
        assert values(folder) == expected
        for left in (folder / "runs").glob(".*"):
            os.utime(left, (0, 0))  # an hour later, whoever writes a run next removes what a killed writer has left
        Store(folder).write(read(next((folder / "runs").glob("*.parquet"))))
        assert set(contents(folder)) == set(contents(whole))


def killed(arguments: list[str], results: Path, after: float) -> bool:
    """Starts `tune` and then `evaluate` in a process, kills it so many seconds later; false if it has ended by then."""
    context = multiprocessing.get_context("forkserver")  # whose server imports TensorFlow once, and does not start it
    context.set_forkserver_preload(["experiments.evaluate", "experiments.tune"])
    process = context.Process(target=call_all, args=(("tune", "evaluate"), [*arguments, f"results={results}"]))
    process.start()
    process.join(after)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def test_tuning_first_changes_nothing(results: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tuned")
    save_lstm(folder, "quadratic")
    assert call("tune", *TINY, f"results={folder}") == ""
    tuned = contents(folder)
    assert call("evaluate", *TINY, f"results={folder}") == ""
    assert {name: contents(folder)[name] for name in tuned} == tuned
    assert values(folder) == values(results)


def test_a_later_round_computes_further_problems_only_and_ends_with_the_same_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Quadratic, "vectorize", False)  # so that every problem is computed alone
    panel = compose_panel("figure_4_left", ["optimizee.dimension=2", *TINY[2:5], "panel.tuning.problems=1"])
    panel = replace(panel, tuning=replace(panel.tuning, finals=3))
    ((_, optimizee),) = panel.variations()
    computed: dict[str, list[range]] = {"reused": [], "anew": []}

    def tuned(folder: str) -> Any:
        def recorded(*arguments: Any) -> np.ndarray:
            computed[folder].append(arguments[5])
            return rate_curves(*arguments)

        monkeypatch.setattr(making, "rate_curves", recorded)
        return Maker(tmp_path / folder, tmp_path / folder, "data").rates(panel, optimizee, "SGD")

    reused = tuned("reused")
    monkeypatch.setattr(making, "computed_alone", lambda optimizee: False)
    assert reused.equals(tuned("anew"))
    assert values(tmp_path / "reused") == values(tmp_path / "anew")
    assert computed["anew"][:2] == [range(1), range(3)]
    assert computed["reused"][:2] == [range(1), range(1, 3)]


def test_no_rate_is_chosen_at_the_edge_of_its_grid(results: Path) -> None:
    for name, runs in by_optimizer(results).items():
        rates = {float(run.spec.optimizer["learning_rate"]): run.final for run in runs if run.spec.mean}
        if rates:
            best = min(rates, key=lambda rate: rates[rate])
            assert min(rates) < best < max(rates), name


def test_all_optimizers_start_from_the_same_losses(results: Path) -> None:
    starts = {tuple(run.losses[:, 0]) for runs in by_optimizer(results).values() for run in runs if not run.spec.mean}
    assert len({tuple(np.round(np.array(start), 4)) for start in starts}) == 1


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_runs_of_ones_own_never_touch_the_stored_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the default place, `runs/`, with the trained optimizer of `results/`."""
    monkeypatch.chdir(tmp_path)
    save_lstm(Path("results"), "quadratic")
    assert call("evaluate", *TINY) == ""
    assert sorted(os.listdir("results")) == ["trained"]
    made = contents(Path("runs/results"))
    (Path("runs/results") / "runs").rename(Path("results/runs"))
    assert call("evaluate", *TINY) == ""  # now they are in results/, and good for use
    assert not Path("runs/results/runs").exists()
    assert call("evaluate", *TINY, "reuse=false", "results=own") == ""
    assert names(Path("own/runs")) == names(Path("results/runs"))
    assert call("evaluate", *TINY, "panel.problems=3") == ""
    assert contents(Path("results")) == made
    assert len(contents(Path("runs/results"))) == 3  # three optimizers on three problems; the rates are those stored
    assert call("tune", *TINY, "panel.tuning.problems=3", "only=SGD") == ""
    assert contents(Path("results")) == made


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["panel=9-left"], "panel=9-left: must be one of"),
        ([], "panel: none is chosen"),
        (["panel=figure_4_left", "panel.problems=0"], "panel.problems=0: must be an integer of at least 1"),
        (["panel=figure_4_left", "+panel.colour=red"], "panel: key=colour: must be one of base"),
        (["panel=figure_4_left", "+panel.tuning.foo=1"], "panel.tuning: key=foo: must be one of finals"),
        (["panel=figure_4_left", "panel.tuning.low=2"], "panel.tuning.low=2: must be at most panel.tuning.high=1.0"),
        (["panel=figure_4_left", "+panel.learned.SGD=quadratic"], "panel.learned: SGD is one of panel.baselines too"),
        (["panel=figure_4_left", "panel.learned=[a]"], "panel.learned"),
        (["panel=figure_4_left", "+panel.learned={ADAM: quadratic}"], "panel.learned: ADAM is one of panel.baselines"),
        (
            ["panel=figure_4_left", "+panel.baselines.LSTM={_target_: l2l_tf.optimizers.SGD}"],
            "panel.learned: LSTM is one of",
        ),
        (["panel=figure_4_left", 'panel.baselines="false"'], "panel.baselines"),
        (["panel=figure_4_left", "panel.baselines=5"], "panel.baselines"),
        (["panel=figure_4_left", "panel.keep_last=1.5"], "panel.keep_last=1.5: must be an integer"),
        (["panel=figure_4_left", "panel.tuning=null"], "panel.tuning"),
        (["panel=figure_4_left", "+panel.tuning.steps=5"], "panel.tuning: key=steps: must be one of finals"),
        (["panel=figure_4_left", "panel.grid=[]"], "panel.grid"),
        (["panel=5"], "panel=5: must be a name, of a file in conf/panel"),
        (["panel=figure_4_left", "results=null"], "results"),
        (["panel=figure_4_left", "panel.learned.LSTM=nothing"], "no trained optimizer here; train it with python -m"),
        (["panel=figure_4_left", "panel.window=200"], "panel.window=200: must be at most panel.steps=100"),
        (["panel=figure_4_centre", "panel.split=validation"], "panel.split=validation: must be one of test, train"),
        (["panel=figure_4_centre", "panel.split=null"], "panel.split=None: must be one of test, train"),
        (["panel=figure_4_centre", "panel.split=[test]"], "panel.split=['test']: must be one of test, train"),
    ],
)
def test_bad_input_gets_one_line(arguments: list[str], line: str, tmp_path: Path) -> None:
    said = call("evaluate", f"results={tmp_path}", *arguments)
    assert line.replace("must be one of base", "must be one of") in said
    assert "\n" not in said
    assert not (tmp_path / "runs").exists()


def test_a_multirun_names_each_job_that_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = call("evaluate", "-m", "only=BAD,WORSE", "panel=figure_4_left", "hydra/launcher=basic")
    assert said == "error: 2 jobs failed; the same command does what is left"
    lines = capsys.readouterr().err.splitlines()
    for name in ("BAD", "WORSE"):
        line = f"only={name},panel=figure_4_left: only={name}: must be one of ADAM, LSTM, NAG, RMSprop, SGD"
        assert lines.count(line) == 1


# Verification: against the results of this repository, which are the paper's.


def verify(*arguments: str) -> str:
    return call("verify", "panels=[figure_4_left]", *arguments)


def test_the_stored_quadratics_are_what_this_code_makes(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify() == ""
    assert "come out as stored" in capsys.readouterr().out


def test_broken_optimizers_fail_verification_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_code(monkeypatch, SGD, RMSprop, Adam, NAG)
    assert "4 of 12 differ" in verify()
    table = capsys.readouterr().out
    for name in ("SGD", "RMSprop", "Adam", "NAG"):
        assert f" {name}, learning rate" in table


def test_changed_constants_fail_verification_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed: dict[type, tuple[float | None, ...]]
    changed = {RMSprop: (0.98, 1e-7, 0.0), Adam: (0.91, 0.99, 1e-7), NAG: (0.91,)}
    changed |= {AdaGrad: (1e-9,), AdamW: (0.01, 0.9, 0.999, 1e-8), Momentum: (0.8, None)}
    for kind, defaults in changed.items():
        monkeypatch.setattr(vars(kind)["__init__"], "__defaults__", defaults)
    assert "constants of AdaGrad: epsilon is 1e-09 by default, 1e-10 in conf/optimizer/adagrad" in verify("one_in=8")
    table = capsys.readouterr().out
    for constant in ("alpha is 0.98", "beta_1 is 0.91", "beta_2 is 0.99", "momentum is 0.91", "momentum is 0.8"):
        assert constant in table
    assert table.count("epsilon is 1e-07") == 2
    assert "weight_decay is 0.01" in table


def test_a_missing_and_a_damaged_run_fail_verification(tmp_path: Path) -> None:
    os.symlink(Path("results/trained").resolve(), tmp_path / "trained")
    (tmp_path / "runs").mkdir()
    for path in Path("results/runs").iterdir():
        os.symlink(path.resolve(), tmp_path / "runs" / path.name)
    assert verify("one_in=8", f"results={tmp_path}") == ""
    runs = {path: read(path).spec for path in (tmp_path / "runs").iterdir()}
    panel_run = next(
        path
        for path, spec in runs.items()
        if spec.optimizee.get("distribution") == "gaussian" and not spec.mean and "alpha" in spec.optimizer
    )
    content = panel_run.read_bytes()
    panel_run.unlink()
    assert "no stored run of it" in verify("one_in=8", f"results={tmp_path}")
    panel_run.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    assert f"{panel_run.name}: damaged" in verify("one_in=8", f"results={tmp_path}")


def test_a_changed_weight_and_a_run_that_no_panel_asks_for_fail_verification(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, folder = Path("results/trained/quadratic"), tmp_path / "trained/quadratic"
    shutil.copytree(source, folder)
    assert check_trained(folder, "data")[0]["problem"] == ""
    weights = read_variables(load_optimizer(source))
    next(iter(weights.values()))[0, 0] += 1e-3
    save_optimizer(folder, read_yaml(source / "optimizer.yaml"), weights)
    losses = np.ones([1, 2], np.float32)
    stray = Store(tmp_path).write(Run(Spec({}, {}, "test", 0, 1, 1), losses, losses[0]))
    said = call("verify", f"results={tmp_path}", "processes=1")
    assert "2 of" in said
    assert "trained/quadratic: optimizer.yaml or optimizer.safetensors is not the one of its record" in said
    assert stray.name in capsys.readouterr().out


def test_the_probe_leaves_out_what_comes_after_divergence() -> None:
    def now(*losses: float) -> Probe:
        return Probe(np.array(losses, np.float32), lambda: np.array(losses, np.float32))

    stored = np.array([1.0, 4.0, 50.0, 1e9], np.float32)
    assert first_difference(stored, now(1.0, 4.0, 50.0, 2e9)) is None
    assert first_difference(stored, now(1.0, 4.01, 50.0, 1e9)) == 1
    assert first_difference(stored, now(1.0, 4.0, 50.0)) == 0
    assert first_difference(np.array([1.0, np.nan]), now(1.0, np.nan)) is None
    assert first_difference(np.array([1.0, np.nan]), now(1.0, 1.0)) == 1


def test_the_second_run_of_a_probe_is_made_where_the_first_differs_only() -> None:
    made = []

    def perturbed() -> np.ndarray:
        made.append(True)
        return np.array([1.0, 2.00001])

    now = Probe(np.array([1.0, 2.0]), perturbed)
    assert first_difference(np.array([1.0, 2.0001]), now) is None
    assert not made
    assert first_difference(np.array([1.0, 2.006]), now) is None  # a thousand times what the perturbation does
    assert first_difference(np.array([1.0, 2.02]), now) == 1
    assert len(made) == 1


class Waves(Optimizee):
    """A descent with steps of 1 jumps from wave to wave."""

    def init(self, seed: tf.Tensor) -> Parameters:
        return {"x": tf.ones([2])}

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(2.0 + tf.sin(30.0 * params["x"]))


def test_a_probe_allows_more_where_rounding_errors_grow() -> None:
    spec = Spec({}, {}, "test", 0, 1, 10)
    calm, chaotic = probe(Quadratic(dimension=2), SGD(1e-3), spec), probe(Waves(), SGD(1.0), spec)
    assert calm.allowed.max() < 1e-2 < 1.0 < chaotic.allowed[-1]


def test_the_maker_reads_trained_optimizers_where_it_writes_first(tmp_path: Path) -> None:
    save_lstm(tmp_path / "stored", "mnist")
    maker = Maker(tmp_path / "own", tmp_path / "stored", "data")
    assert len(maker.load("mnist").trainable_variables) == 4
