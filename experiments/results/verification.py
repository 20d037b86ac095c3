"""Stored results held against today's code: the checks behind `experiments.verify`."""

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from experiments.composition.build import build, own_or_trusted, trained_config, tuning_optimizee
from experiments.composition.panel import Panel
from experiments.results.making import Maker, Probe, first_difference, probe
from experiments.results.queries import MissingRunError, chosen_rate, stored_rates
from experiments.results.record import RECORD, read_record
from experiments.results.run import Run, Spec
from experiments.results.store import read
from experiments.results.trained import describe, digest
from l2l_tf.errors import InputError
from l2l_tf.evaluation.evaluate import Evaluator
from l2l_tf.optimizers import HandDesigned, everything
from l2l_tf.serialization.trained import build_optimizer, load_weights

LOSS_TOLERANCE = 1e-2  # relative, of a validation loss: rounding grows over a whole run

OPTIMIZERS = Path("conf/optimizer")

MISSING = "no stored run of it"
Finding = dict[str, Any]  # what, runs (how many were checked), problem (empty where there is none)


def finding(what: str, runs: int, problem: str = "") -> Finding:
    """One row of the table."""
    return {"what": what, "runs": runs, "problem": problem}


def check_constants() -> list[Finding]:
    """Whether the code's own defaults of hand-designed optimizers are the constants in conf/optimizer/."""
    found = []
    for path in sorted(OPTIMIZERS.glob("*.yaml")):
        config = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        assert isinstance(config, dict)
        if "_target_" not in config:  # a change of another one
            continue
        module, _, name = str(config["_target_"]).rpartition(".")
        constructor = getattr(importlib.import_module(module), name)
        if inspect.isclass(constructor) and issubclass(constructor, HandDesigned):
            defaults = {key: one.default for key, one in inspect.signature(constructor).parameters.items()}
            changed = [
                f"{key} is {default} by default, {config.get(key, 'not')} in {path}"
                for key, default in defaults.items()
                if key != "learning_rate" and (key not in config or config[key] != default)
            ]
            found.append(finding(f"constants of {name}", 0, "; ".join(changed)))
    return found


def check_panel(panel: Panel, runs: Maker, one_in: int, used: set[str]) -> list[Finding]:
    """Every stored run of a panel: there, whole, and the same now.

    Args:
        one_in: only every so many-th run is probed; all are read.
        used: gets the hashes of the panel's runs.
    """
    found = []
    for variation, optimizee in panel.variations():
        label = panel.label(variation)
        check = Check(runs, one_in, used)
        for name, source in panel.learned.items():
            problem = check.trained(panel, optimizee, source)
            found.append(finding(f"{label} {name}", check.taken(), problem))
        for name in panel.baselines:
            problem = check.baseline(panel, optimizee, name)
            found.append(finding(f"{label} {name}", check.taken(), problem))
    if all(row["problem"].startswith(MISSING) or "no trained optimizer" in row["problem"] for row in found):
        return [finding(f"{panel.name} (nothing is stored of it yet)", 0)]
    return found


class Check:
    """Looks at runs one after the other and counts them."""

    def __init__(self, runs: Maker, one_in: int, used: set[str]):
        self.runs = runs
        self.one_in = one_in
        self.used = used
        self._count = 0

    def taken(self) -> int:
        """How many runs there were since the last call."""
        count, self._count = self._count, 0
        return count

    def trained(self, panel: Panel, optimizee: Mapping[str, Any], source: str) -> str:
        """What is wrong with a trained optimizer's run; empty if nothing is."""
        try:
            spec = panel.test_spec(optimizee, describe(self.runs.folders, source))
            return self._compare(spec, optimizee, source)
        except InputError as error:
            return str(error)

    def baseline(self, panel: Panel, optimizee: Mapping[str, Any], name: str) -> str:
        """What is wrong with a baseline's test run or one of its tuning runs; empty if nothing is."""
        baseline, tuned_on = panel.baselines[name], panel.tuning_optimizee(optimizee)
        try:
            tuning: list[Run] = []
            rate = chosen_rate(stored_rates(self.runs.store, panel, optimizee, baseline, tuning.append))
            problem = self._compare(panel.test_spec(optimizee, {**baseline, "learning_rate": rate}), optimizee)
            for run in tuning:
                problem = problem or self._compare(run.spec, tuned_on)
        except (InputError, MissingRunError) as error:
            return str(error) if isinstance(error, InputError) else f"{MISSING}: {error}"
        return problem

    def _compare(self, spec: Spec, config: Mapping[str, Any], source: str | None = None) -> str:
        self._count += 1
        self.used.add(spec.hash())
        stored = self.runs.store.find(spec)
        if stored is None:
            return f"{MISSING}: {spec}"
        if int(spec.hash(), 16) % self.one_in:
            return ""
        optimizer = build_optimizer(spec.optimizer) if source is None else self.runs.load(source)
        now = probe(self.runs.optimizee(config), optimizer, spec)
        step = first_difference(stored.probe, now)
        return "" if step is None else _difference(stored, now, step)


def _difference(stored: Run, now: Probe, step: int) -> str:
    was = f"{stored.probe[step]:.6g} in {stored.spec.hash()}.parquet"
    return f"{stored.spec}: loss {now.losses[step]:.6g} at step {step}, {was}"


def check_trained(folder: Path, data_dir: str) -> list[Finding]:
    """A trained optimizer: its files are those of its record, and its validation loss comes out again."""
    what = f"trained/{folder.name}"
    if (folder / "LICENSE").exists():  # somebody else's, imported
        return [finding(what, 0)]
    try:
        record = read_record(folder / RECORD)
        if record.get("trained") != digest(folder):
            return [finding(what, 0, "optimizer.yaml or optimizer.safetensors is not the one of its record")]
        config, resolve = trained_config(record["config"], folder / RECORD), own_or_trusted([])
        if "data" in config.optimizee:
            config.optimizee.data.directory = data_dir
        schedule = build(config.schedule, resolve)
        optimizee = tuning_optimizee(config, config.optimizee, resolve)
        optimizer = everything(build(config.optimizer, resolve))  # as it was trained, before `once_trained`
        load_weights(optimizer, folder)
        count = schedule.validation.problems
        evaluator = Evaluator(optimizee, optimizer, schedule.steps, min(count, 32))
        curves, _ = evaluator.losses(config.seed, "validation", range(count))
    except InputError as error:
        return [finding(what, 0, str(error))]
    now, stored = schedule.validation.loss(curves), float(record.get("validation_loss", float("nan")))
    same = abs(now - stored) <= LOSS_TOLERANCE * abs(stored)
    return [finding(what, count, "" if same else f"validation loss {now:.6g}, {stored:.6g} in its record")]


def unused_runs(results: Path, used: set[str]) -> list[Finding]:
    """Stored runs that no panel asks for, and files that are not runs."""
    found = []
    for path in sorted((results / "runs").glob("*.parquet")):
        if path.stem not in used:
            try:
                problem = f"no panel asks for this run ({read(path).spec})"
            except InputError as error:
                problem = str(error)
            found.append(finding(path.name, 1, problem))
    return found
