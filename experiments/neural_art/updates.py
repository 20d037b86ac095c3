"""Figures 10 to 13's data (appendix B): updates along the trained optimizer's way on a panel's test problems."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.composition.panel import Panel
from experiments.neural_art.optimizers import panel_optimizer
from experiments.results.making import Maker
from experiments.results.tables import write_table
from l2l_tf.evaluation.updates import (
    gradient_histories,
    lag_one_autocorrelation,
    proposed_updates,
    root_mean_square,
    update_responses,
)
from l2l_tf.optimizers import CoordinatewiseOptimizer

POINTS = 101  # gradients that a response is drawn from


def store_updates(panel: Panel, runs: Maker, settings: Mapping[str, Any]) -> list[Path]:
    """Writes `updates/histories.csv`, `responses.csv` and `statistics.csv`."""
    optimizee = runs.optimizee(panel.base)
    optimizers = {name: panel_optimizer(panel, runs, name) for name in settings["optimizers"]}
    leading = next(iter(panel.learned))
    problems = range(settings["problems"])
    gradients = gradient_histories(optimizee, optimizers[leading], panel.steps, problems, panel.seed)
    size = int(panel.base["data"]["size"])
    places = {key: [tuple(place) for place in settings[key]] for key in ("histories", "responses")}
    tables = {
        "histories": histories(optimizers, gradients[0], size, places["histories"]),
        "responses": responses(
            optimizers, gradients[0][: settings["steps"]], size, places["responses"], settings["reach"]
        ),
        "statistics": statistics(optimizers, gradients),
    }
    return [write_table(runs.store.folder / "updates" / name, table) for name, table in tables.items()]


def number_of(place: tuple[int, int, int], size: int) -> int:
    """The coordinate of a pixel's colour channel, (row, column, channel)."""
    return int(np.ravel_multi_index(place, (size, size, 3)))


def histories(
    optimizers: Mapping[str, CoordinatewiseOptimizer],
    gradients: np.ndarray,
    size: int,
    places: Sequence[tuple[int, int, int]],
) -> pd.DataFrame:
    """Updates at steps 1 ... T of some coordinates: columns row, column, channel, optimizer, step, update."""
    chosen = gradients[:, [number_of(place, size) for place in places]]
    frames = []
    for name, optimizer in optimizers.items():
        for place, updates in zip(places, proposed_updates(optimizer, chosen).T, strict=True):
            steps = np.arange(1, len(updates) + 1)
            frames.append(_at(place).assign(optimizer=name).merge(_frame(step=steps, update=updates), how="cross"))
    return pd.concat(frames, ignore_index=True)


def responses(
    optimizers: Mapping[str, CoordinatewiseOptimizer],
    gradients: np.ndarray,
    size: int,
    places: Sequence[tuple[int, int, int]],
    reach: float,
) -> pd.DataFrame:
    """Update against gradient at each step: columns row, column, channel, optimizer, step, gradient, update."""
    frames = []
    for place in places:
        history = gradients[:, number_of(place, size)]
        tried = np.linspace(-1, 1, POINTS) * reach * np.abs(history).max()
        for name, optimizer in optimizers.items():
            updates = update_responses(optimizer, history, tried)
            steps = np.repeat(np.arange(1, len(history) + 1), POINTS)
            table = _frame(step=steps, gradient=np.tile(tried, len(history)), update=updates.reshape(-1))
            frames.append(_at(place).assign(optimizer=name).merge(table, how="cross"))
    return pd.concat(frames, ignore_index=True)


def statistics(optimizers: Mapping[str, CoordinatewiseOptimizer], gradients: np.ndarray) -> pd.DataFrame:
    """Of all coordinates, by problem: columns problem, optimizer, root_mean_square, autocorrelation."""
    rows = []
    for problem, history in enumerate(gradients):
        for name, optimizer in optimizers.items():
            updates = proposed_updates(optimizer, history)
            rows.append((problem, name, float(root_mean_square(updates)), float(lag_one_autocorrelation(updates))))
    return pd.DataFrame(rows, columns=["problem", "optimizer", "root_mean_square", "autocorrelation"])


def _at(place: tuple[int, int, int]) -> pd.DataFrame:
    return pd.DataFrame([place], columns=["row", "column", "channel"])


def _frame(**columns: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(columns)
