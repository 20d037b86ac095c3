"""Baselines tuned at each initial deviation, and how far their curves are from the paper's."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from omegaconf import DictConfig
from tqdm import tqdm

from experiments.composition.build import build_optimizee, plain
from experiments.composition.cli import digest
from experiments.reports.paper import distance, paper_curves, points_mean
from l2l_tf.checks import instance_of, one_of
from l2l_tf.errors import InputError
from l2l_tf.evaluation.bulk import rate_curves
from l2l_tf.evaluation.tuning_rule import tune
from l2l_tf.optimizees import SonnetClassifier
from l2l_tf.serialization.trained import build_optimizer

Row = dict[str, Any]


def check(config: DictConfig) -> None:
    """Builds every network and every baseline, so that what is wrong shows before the first one runs.

    Raises:
        InputError: one cannot be built, or a panel has no network; says which.
    """
    for panel in config.panels:
        one_of("panels", panel, config.networks)
    for panel in config.networks:
        try:
            network(config, panel)
        except InputError as error:
            raise InputError(f"networks.{panel}: {error}") from error
    for group in ("baselines", "variants"):
        for name, baseline in (config[group] or {}).items():
            try:
                at_rate(tuple(baseline.make.items()), baseline.low)
                if baseline.low > baseline.high:
                    raise InputError(f"low={baseline.low}: must be at most high={baseline.high}")
            except InputError as error:
                raise InputError(f"{group}.{name}: {error}") from error


def network(config: DictConfig, panel: Any) -> Any:
    """A panel's optimizee, a `SonnetClassifier`."""
    optimizee = build_optimizee(config.optimizee, config.split, config.networks[panel])
    instance_of("optimizee", optimizee, SonnetClassifier)
    return optimizee


def settings_of(config: DictConfig, baselines: str, parameters: str) -> str:
    """A digest of all that a row of `runs` depends on besides its panel, optimizer and deviation."""
    keys = ("optimizee", "networks", "split", "steps", "window", "tuning", "seed", baselines)
    settings: dict[str, Any] = {key: plain(config)[key] for key in keys} | {"parameters": parameters}
    settings["optimizee"]["data"].pop("directory", None)
    return digest(json.dumps(settings, sort_keys=True))


def runs(
    config: DictConfig,
    panels: Sequence[str],
    baselines: Mapping[str, Mapping[str, Any]],
    deviations: Sequence[float],
    known: pd.DataFrame,
    parameters: str = "*",
) -> Iterator[Row]:
    """Tunes every baseline on every panel at every deviation of the parameters that the pattern names.

    Args:
        known: rows that there are already; the others are made.

    Yields:
        deviation, panel, optimizer; `of`, the paper's optimizer that it is held against; the chosen learning_rate and
        how many problems it was run on; first_loss and final_loss (mean over the window), ours and the paper's; and
        the distance.
    """
    done = set(zip(known.deviation, known.panel, known.optimizer, strict=True))
    steps, window, seed = int(config.steps), int(config.window), int(config.seed)
    for panel in panels:
        optimizee = network(config, panel)
        drawn = tf.Variable(0.0, trainable=False)  # one program serves all deviations
        optimizee.initial_deviations = {parameters: drawn}
        paper = paper_curves(panel)
        for name, baseline in baselines.items():
            make = partial(at_rate, tuple(baseline["make"].items()))
            curves_of = partial(
                rate_curves, optimizee, make, seed=seed, stream="validation", steps=steps, batch=config.batch
            )
            theirs = paper[paper.optimizer == baseline["of"]]
            for deviation in deviations:
                if (deviation, panel, name) in done:
                    continue
                drawn.assign(deviation)
                curves: dict[float, np.ndarray] = {}

                def run(
                    rates: list[float], count: int, curves_of: Any = curves_of, curves: Any = curves
                ) -> list[float]:
                    more(curves_of, curves, rates, count)
                    return [float(curves[rate][:, -window:].mean()) for rate in rates]

                rates = tune(run, baseline["low"], baseline["high"], **config.tuning)
                best = rates[rates.chosen].iloc[0]
                mean = curves[best.learning_rate].mean(axis=0)
                points = pd.Series(mean).rolling(points_mean(panel)).mean().to_numpy()
                row = {
                    "deviation": deviation,
                    "panel": panel,
                    "optimizer": name,
                    "of": baseline["of"],
                    "learning_rate": best.learning_rate,
                    "problems": int(best.n),
                    "first_loss": float(mean[0]),
                    "final_loss": float(mean[-window:].mean()),
                    "paper_first_loss": float(theirs.loss.iloc[0]),
                    "paper_final_loss": float(theirs.loss.iloc[-(window // points_mean(panel)) :].mean()),
                    "distance": distance(np.arange(steps + 1), points, theirs),
                }
                tqdm.write(", ".join(f"{key} {value}" for key, value in row.items()))
                yield row


def more(curves_of: Callable[..., np.ndarray], curves: dict[float, np.ndarray], rates: list[float], count: int) -> None:
    """Adds to `curves`, of each rate [problems, steps + 1], what is missing for so many problems."""
    unknown = [rate for rate in rates if rate not in curves]
    if unknown:
        curves |= dict(zip(unknown, curves_of(unknown, problems=range(count)), strict=True))
    for rate in rates:
        if (known := len(curves[rate])) < count:
            further = curves_of([rate], problems=range(known, count))
            curves[rate] = np.concatenate([curves[rate], further[0]])


def at_rate(constants: tuple[tuple[str, Any], ...], learning_rate: Any) -> Any:
    """A baseline with these constants."""
    return build_optimizer({**dict(constants), "learning_rate": learning_rate})
