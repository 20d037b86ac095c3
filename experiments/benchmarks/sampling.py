"""How much of the replay to sample: the meta-gradient's error against its cost, fraction by fraction."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf
from omegaconf import DictConfig

from experiments.benchmarks.measure import apart, make_lstm, make_optimizee, median_seconds
from l2l_tf import seeds
from l2l_tf.data import load_mnist
from l2l_tf.errors import InputError
from l2l_tf.meta import Replay
from l2l_tf.meta.base import Unroll
from l2l_tf.meta.replay import ReplayMetaGradient
from l2l_tf.optimizees import Optimizee, SonnetClassifier, mlp
from l2l_tf.optimizers import ParameterGroups
from l2l_tf.serialization.trained import load_optimizer
from l2l_tf.unroll import Optimization, Trajectory, rollout, start


@dataclass(frozen=True)
class Subject:
    """One optimizee, and an optimizer that is untrained or read from a folder."""

    optimizee: str
    trained: str | None
    layers: tuple[int, ...]
    fractions: tuple[float, ...]
    steps: int
    repeats: int
    data: str
    phases: int  # unrolls of the optimization that are looked at, from its beginning
    draws: int  # samples of each


class Phase(NamedTuple):
    """Meta-gradients at one unroll: of two problems exactly, and samples of the first one's by fraction."""

    exact: Sequence[np.ndarray]
    sampled: dict[float, list[np.ndarray]]


def study(config: DictConfig) -> pd.DataFrame:
    """One row an optimizee, optimizer and fraction."""
    rows: list[dict[str, Any]] = []
    for optimizee in ("quadratics", "MNIST net"):
        if optimizee not in config.optimizees:
            continue
        folder = config.trained.get(optimizee)
        for trained in (None, folder) if folder and (Path(folder) / "optimizer.yaml").exists() else (None,):
            subject = Subject(
                optimizee=optimizee,
                trained=trained,
                layers=tuple(config.layers),
                fractions=tuple(config.fractions),
                steps=config.steps,
                repeats=config.repeats,
                data=config.data.dir,
                phases=2 if config.quick else 5,
                draws=2 if config.quick else 20,
            )
            found = apart(config.memory_limit, look_at, subject)
            if found is None:
                raise InputError(
                    f"memory_limit={config.memory_limit}: is too little for {optimizee}; must be more, or null for none"
                )
            rows += found
    return pd.DataFrame(rows)


def look_at(subject: Subject) -> list[dict[str, Any]]:
    """A row for each fraction: seconds per meta-step, and how far its meta-gradient is from the exact one.

    `noise` is the sample's variance over that between two problems' exact meta-gradients, over all phases; `cost` is
    seconds · (1 + noise): by it, the time compares in which the average of many meta-gradients reaches a given error.
    """
    optimizee, problems = make_optimizee(subject.optimizee)
    if subject.optimizee == "MNIST net":
        optimizee = SonnetClassifier(mlp, load_mnist(subject.data, "train"), compile=True)
    optimizer = load_optimizer(subject.trained) if subject.trained else make_lstm(subject.optimizee, subject.layers)
    whole_below = 0 if subject.optimizee == "quadratics" else Replay.whole_below  # else quadratics are always whole
    methods = {
        fraction: ReplayMetaGradient(optimizee, optimizer, replay=Replay(fraction=fraction, whole_below=whole_below))
        for fraction in {1.0, *subject.fractions}
    }
    begins = [
        start(optimizee, optimizer, seeds.problem_keys(0, "train", range(k * problems, (k + 1) * problems)))
        for k in range(2)
    ]
    phases = meta_gradients(subject, optimizee, optimizer, methods, begins)
    seconds = median_seconds(
        {fraction: partial(meta_step(method, subject.steps), begins[0]) for fraction, method in methods.items()},
        subject.repeats,
    )
    between = np.mean([np.sum((phase.exact[0] - phase.exact[1]) ** 2) / 2 for phase in phases])
    rows = []
    for fraction in subject.fractions:
        pairs = [(draw, phase.exact[0]) for phase in phases for draw in phase.sampled[fraction]]
        noise = np.mean([np.sum((draw - exact) ** 2) for draw, exact in pairs]) / between
        rows.append(
            {
                "optimizee": subject.optimizee,
                "optimizer": "trained" if subject.trained else "untrained",
                "fraction": fraction,
                "seconds": seconds[fraction],
                "cosine": np.mean([np.vdot(d, e) / np.linalg.norm(d) / np.linalg.norm(e) for d, e in pairs]),
                "relative_error": np.mean([np.linalg.norm(d - e) / np.linalg.norm(e) for d, e in pairs]),
                "noise": noise,
                "cost": seconds[fraction] * (1 + noise),
            }
        )
    return rows


def meta_step(method: ReplayMetaGradient, steps: int) -> Any:
    """A compiled meta-step."""

    @tf.function(autograph=False)
    def compute(begin: Optimization) -> Any:
        return method(Unroll(begin, tf.constant(0), tf.ones([steps]), tf.constant([0, 1]))).gradient

    return compute


def meta_gradients(
    subject: Subject,
    optimizee: Optimizee,
    optimizer: ParameterGroups,
    methods: dict[float, ReplayMetaGradient],
    begins: list[Optimization],
) -> list[Phase]:
    """The exact meta-gradients of two optimizations and samples of the first one's, unroll after unroll."""

    @tf.function(autograph=False)
    def unroll(begin: Optimization, step: tf.Tensor) -> Trajectory:
        return rollout(optimizee, optimizer, begin, step, subject.steps, record=True)

    @tf.function(autograph=False)
    def replay(fraction: float, begin: Optimization, trajectory: Trajectory, seed: tf.Tensor) -> tf.Tensor:
        weights = tf.ones([subject.steps])
        gradient = methods[fraction].replayed(begin.state, trajectory, weights, seed)
        return tf.concat([tf.reshape(part, [-1]) for part in gradient], axis=0)

    phases = []
    for phase in range(subject.phases):
        seeds_of_draws = [tf.constant([phase, draw]) for draw in range(subject.draws)]
        trajectories = [unroll(begin, tf.constant(phase * subject.steps)) for begin in begins]
        exact = [
            replay(1.0, begin, trajectory, seeds_of_draws[0]).numpy()
            for begin, trajectory in zip(begins, trajectories, strict=True)
        ]
        sampled = {
            fraction: [replay(fraction, begins[0], trajectories[0], seed).numpy() for seed in seeds_of_draws]
            for fraction in subject.fractions
        }
        phases.append(Phase(exact, sampled))
        begins = [trajectory.end for trajectory in trajectories]
    return phases
