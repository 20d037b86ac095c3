"""Runs on demand: a stored one if today's code still makes it, or else made now.

A stored run is used after a *probe* only: the first steps of its first problem, computed now, must come out as stored.
That shows when a baseline's code was changed, when the data is not the same, or a library computes something else.
"""

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from experiments.composition.build import build
from experiments.composition.labels import check_unseen_labels
from experiments.composition.panel import Panel
from experiments.results.queries import chosen_rate
from experiments.results.record import provenance
from experiments.results.run import PROBE_STEPS, Run, Spec
from experiments.results.store import Store, path_of
from experiments.results.trained import describe, trained_folder
from l2l_tf import seeds
from l2l_tf.errors import InputError
from l2l_tf.evaluation.bulk import computed_alone, rate_curves
from l2l_tf.evaluation.evaluate import Evaluator, accuracies
from l2l_tf.evaluation.tuning_rule import tune
from l2l_tf.optimizees import Optimizee, SonnetClassifier
from l2l_tf.optimizers import HandDesigned, Optimizer, ParameterGroups, everything
from l2l_tf.serialization.trained import build_optimizer, load_optimizer
from l2l_tf.stages import stage
from l2l_tf.unroll import Optimization, rollout, start

STORED = Path("results")
TOLERANCE = 1e-4  # relative, of losses that come out the same
PERTURBED = 1e-6  # relative, of θ_0: what a few roundings do to it
MARGIN = 1000.0  # rounding differs between kernels and processors by up to so many times what the perturbation does,
LARGEST, GROWTH = 1e-2, 8.0  # and by no more than this at step 1 and so much more at each step, on any network here
DIVERGED = 5.0  # times the first loss: what comes after is decided by rounding errors, and not compared

AnyOptimizer = Optimizer | ParameterGroups


@dataclass(frozen=True)
class Probe:
    """The first losses of a spec's first problem.

    Attributes:
        losses: f(θ_0) ... f(θ_k), [k+1].
        perturbed: computes the same from a slightly perturbed θ_0.
    """

    losses: np.ndarray
    perturbed: Callable[[], np.ndarray]

    @functools.cached_property
    def allowed(self) -> np.ndarray:
        """By how much rounding may change the losses, relatively, [k+1].

        Some optimizations amplify rounding errors a hundredfold within a few steps, others not at all. Which this is
        shows when it is run a second time.
        """
        with np.errstate(all="ignore"):
            change = np.nan_to_num(np.abs(self.perturbed() - self.losses) / np.abs(self.losses), posinf=0.0)
        largest = LARGEST * GROWTH ** (np.arange(len(self.losses)) - 1.0)
        return np.maximum(TOLERANCE, np.minimum(largest, MARGIN * np.maximum.accumulate(change)))


def probe(optimizee: Optimizee, optimizer: AnyOptimizer, spec: Spec) -> Probe:
    """f(θ_0) ... f(θ_k) now, k = `PROBE_STEPS` or fewer; not by XLA, which would take longer."""
    begin = start(optimizee, everything(optimizer), seeds.problem_keys(spec.seed, spec.stream, [0]))
    losses = _first_losses(optimizee, optimizer, min(PROBE_STEPS, spec.steps))

    def perturbed() -> np.ndarray:
        params = {name: _perturbed(tensor, index) for index, (name, tensor) in enumerate(begin.params.items())}
        return losses(begin._replace(params=params))

    return Probe(losses(begin), perturbed)


def _first_losses(optimizee: Optimizee, optimizer: AnyOptimizer, steps: int) -> Callable[[Optimization], np.ndarray]:
    """From where an optimization begins to its f(θ_0) ... f(θ_T), T = `steps`."""
    if isinstance(optimizer, HandDesigned):
        constants = {name: value for name, value in vars(optimizer).items() if name != "learning_rate"}
        run = _at_any_rate(optimizee, type(optimizer), tuple(constants.items()), steps)
        rate = tf.constant(optimizer.learning_rate, tf.float32)
        return lambda begin: run(rate, begin).numpy()[:, 0]
    groups = ParameterGroups(everything(optimizer).groups, compile=False)
    return lambda begin: rollout(optimizee, groups, begin, tf.constant(0), steps, record=False).losses.numpy()[:, 0]


@functools.lru_cache(maxsize=8)
def _at_any_rate(
    optimizee: Optimizee, kind: type[HandDesigned], constants: tuple[tuple[str, Any], ...], steps: int
) -> Callable[[tf.Tensor, Optimization], tf.Tensor]:
    """Losses [T+1, 1] from a rate and a beginning: one graph for all rates that a baseline is tuned over."""

    @tf.function(autograph=False)
    def losses(rate: tf.Tensor, begin: Optimization) -> tf.Tensor:
        optimizer = everything(kind(rate, **dict(constants)))
        return rollout(optimizee, optimizer, begin, tf.constant(0), steps, record=False).losses

    return losses


def _perturbed(tensor: tf.Tensor, index: int) -> tf.Tensor:
    return tensor * (1.0 + PERTURBED * tf.random.stateless_normal(tensor.shape, [0, index], dtype=tensor.dtype))


def first_difference(stored: np.ndarray, now: Probe) -> int | None:
    """The first step at which stored losses are not those of a probe up to rounding, as far as it has not diverged."""
    if stored.shape != now.losses.shape:
        return 0
    diverged = ~(np.abs(now.losses) <= DIVERGED * np.abs(now.losses[0]))
    until = int(np.argmax(diverged)) if diverged.any() else len(stored)
    difference, size = np.abs(stored[:until] - now.losses[:until]), np.abs(now.losses[:until])
    if (difference <= TOLERANCE * size).all():  # as most do; the second run is spared
        return None
    differ = ~(difference <= now.allowed[:until] * size)
    return int(np.argmax(differ)) if differ.any() else None


class Maker:
    """Makes runs, or finds them stored, for one command.

    Args:
        results: runs are written there.
        stored: a folder of results that is only read: for trained optimizers that `results` does not have.
        data_dir: where the data sets are.
        refresh: make every run again.
        reuse: use the runs in `stored`, too, where they fit.

    `on_steps`, if set, is told of steps of problems that are done, made or found stored.
    """

    def __init__(self, results: Path, stored: Path, data_dir: str, refresh: bool = False, reuse: bool = True):
        self.folders = [results] if results.resolve() == stored.resolve() else [results, stored]
        self.store = Store(results, self.folders[1:] if reuse else ())
        self.data_dir = data_dir
        self.refresh = refresh
        self.made = self.reused = 0
        self.on_steps: Callable[[int], object] = lambda steps: None
        self._optimizee = functools.lru_cache(maxsize=4)(self._build_optimizee)

    def optimizee(self, config: Mapping[str, Any]) -> Optimizee:
        """The optimizee that a configuration describes, with its data."""
        return self._optimizee(OmegaConf.to_yaml(OmegaConf.create(dict(config))))

    def _build_optimizee(self, text: str) -> Optimizee:
        config = OmegaConf.create({"optimizee": OmegaConf.create(text)})  # its key, for messages
        if "data" in config.optimizee:
            config.optimizee.data.directory = self.data_dir
        built = build(config.optimizee)
        assert isinstance(built, Optimizee)
        return built

    def check(self, panel: Panel) -> None:
        """Builds everything that a panel describes, so that what is wrong shows before hours of tuning.

        Raises:
            InputError: an optimizee, an optimizer or a baseline cannot be built, or is not trained.
        """
        for name, baseline in panel.baselines.items():
            try:
                build_optimizer({**baseline, "learning_rate": panel.tuning.low})
            except InputError as error:
                raise InputError(f"panel.baselines.{name}: {error}") from error
        for source in panel.learned.values():
            self.load(source)
        for _, optimizee in panel.variations():
            self.optimizee(optimizee)
            if panel.baselines:
                self.optimizee(panel.tuning_optimizee(optimizee))

    def test_runs(self, panel: Panel, optimizee: Mapping[str, Any], label: str = "") -> dict[str, Run]:
        """Every optimizer's run on a panel's test problems: the trained ones, and the baselines at their tuned rates.

        Args:
            optimizee: a variation of the panel's; label: of it, for messages.
        """
        runs = {}
        for name, source in panel.learned.items():
            spec = panel.test_spec(optimizee, describe(self.folders, source))
            runs[name] = self.run(spec, optimizee, self.load(source), f"{label} {name}", panel.batch)
        for name, baseline in panel.baselines.items():
            config = {**baseline, "learning_rate": chosen_rate(self.rates(panel, optimizee, name, label))}
            spec = panel.test_spec(optimizee, config)
            runs[name] = self.run(spec, optimizee, build_optimizer(config), f"{label} {name}", panel.batch)
        return runs

    def load(self, source: str) -> ParameterGroups:
        """The trained optimizer that a panel's `learned` names, such as `mnist` or `cifar10:1`."""
        optimizer = load_optimizer(trained_folder(self.folders, source))
        group = describe(self.folders, source)["group"]
        return optimizer if group is None else everything(optimizer.groups[group].optimizer)

    @stage("evaluation")
    def run(self, spec: Spec, config: Mapping[str, Any], optimizer: AnyOptimizer, label: str, batch: int) -> Run:
        """One optimizer's run.

        Args:
            config: of the optimizee; batch: problems run at once.
        """
        optimizee = self.optimizee(config)
        now = probe(optimizee, optimizer, spec)
        stored = self.usable(spec, now, label)
        if stored is not None:
            self.on_steps(spec.problems * spec.steps)
            return stored
        began = time.monotonic()
        evaluator = Evaluator(optimizee, optimizer, spec.steps, batch)
        losses, finals = evaluator.losses(spec.seed, spec.stream, range(spec.problems), label)
        accuracy = accuracies(optimizee, finals) if isinstance(optimizee, SonnetClassifier) else None
        self.on_steps(spec.problems * spec.steps)
        return self._write(spec, losses, now, began, accuracy)

    @stage("tuning")
    def rates(self, panel: Panel, optimizee: Mapping[str, Any], name: str, label: str = "") -> Any:
        """A baseline's tuning on a panel: a table with columns learning_rate, loss, chosen, n."""
        baseline = panel.baselines[name]
        tuned_on = panel.tuning_optimizee(optimizee)
        made: dict[float, np.ndarray] = {}

        def run(rates: Sequence[float], problems: int) -> list[float]:
            specs = [panel.tuning_spec(tuned_on, baseline, problems).with_rate(rate) for rate in rates]
            return [one.final for one in self._round(specs, tuned_on, baseline, f"{label} {name}", panel.batch, made)]

        settings = panel.tuning
        table = tune(run, settings.low, settings.high, settings.per_decade, settings.problems, settings.finals)
        self.on_steps(panel.tuning_steps)
        return table

    def _round(
        self,
        specs: Sequence[Spec],
        config: Mapping[str, Any],
        baseline: Mapping[str, Any],
        label: str,
        batch: int,
        made: dict[float, np.ndarray],
    ) -> list[Run]:
        """One optimizer at some learning rates: all stored, or all made, in one batch.

        If one is missing all are made again, so that what else is in a batch, on which rounding depends, is always the
        same, wherever an earlier command was killed.

        Args:
            made: losses of earlier rounds [problems, K+1] by rate, which are not computed again where they do not
                depend on a batch; gets this round's.
        """
        optimizee = self.optimizee(config)
        found, probes = [], []
        for spec in specs:
            probes.append(probe(optimizee, build_optimizer(spec.optimizer), spec))
            found.append(self.usable(spec, probes[-1], f"{label}, {spec}"))
        stored = [run for run in found if run is not None]
        if len(stored) == len(specs):
            return stored
        self.reused -= len(stored)
        began = time.monotonic()
        make = functools.partial(_with_rate, tuple(sorted(baseline.items())))
        rates = [spec.optimizer["learning_rate"] for spec in specs]
        first = specs[0]
        known = made if computed_alone(optimizee) else {}
        done = {rate: len(known.get(rate, ())) for rate in rates}
        for count in sorted(set(done.values())):
            some, more = [rate for rate in rates if done[rate] == count], range(count, first.problems)
            curves = rate_curves(optimizee, make, some, first.seed, first.stream, more, first.steps, batch)
            for rate, losses in zip(some, curves, strict=True):
                made[rate] = np.concatenate([known[rate], losses]) if count else losses
        return [
            self._write(spec, made[rate], now, began, None)
            for spec, rate, now in zip(specs, rates, probes, strict=True)
        ]

    def usable(self, spec: Spec, now: Probe, label: str) -> Run | None:
        """The stored run of a spec, if it is whole and its first losses are what they are now; says so if not."""
        if self.refresh:
            return None
        try:
            run = self.store.find(spec)
        except InputError as error:
            tqdm.write(f"{label.strip()}: made again: {error}")
            return None
        if run is None:
            return None
        if first_difference(run.probe, now) is not None:
            path = path_of(self.store.folder, spec)
            tqdm.write(
                f"{label.strip()}: made again: the first losses are {_short(now.losses)} now, "
                f"{_short(run.probe)} in {path.name} (revision {str(run.record.get('revision'))[:7]})"
            )
            return None
        self.reused += 1
        return run

    def _write(self, spec: Spec, losses: np.ndarray, now: Probe, began: float, accuracy: np.ndarray | None) -> Run:
        kept = losses if spec.keep_last is None else losses[:, -spec.keep_last :]
        if spec.mean:
            kept = np.mean(kept, dtype=np.float64).astype(np.float32).reshape(1, 1)
        run = Run(spec, kept.astype(np.float32), now.losses, provenance(time.monotonic() - began), accuracy)
        self.store.write(run)
        self.made += 1
        return run


def _with_rate(baseline: tuple[tuple[str, Any], ...], learning_rate: Any) -> Any:
    """A hand-designed optimizer; a function of this module and hashable arguments, so that programs are shared."""
    return build_optimizer({**dict(baseline), "learning_rate": learning_rate})


def _short(losses: np.ndarray) -> str:
    return ", ".join(f"{loss:.5g}" for loss in losses[:3])


@contextmanager
def checked(panels: Sequence[Panel], runs: Maker) -> Iterator[None]:
    """Checks all panels before the block makes the first one's runs; over it, a bar in steps of problems of them all.

    Raises:
        InputError: something that a panel describes cannot be made.
    """
    for panel in panels:
        check_unseen_labels(panel, runs.folders)
        runs.check(panel)
    look = "{desc} {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"
    with tqdm(total=sum(panel.all_steps for panel in panels), desc="all", bar_format=look) as bar:
        runs.on_steps = bar.update
        yield


def maker(config: DictConfig) -> Maker:
    """The maker that a command's configuration asks for."""
    return Maker(Path(config.results), STORED, config.data.dir, config.refresh, config.reuse)
