"""From curves to numbers with intervals: windows of steps, and the percentile bootstrap of a mean over problems.

All intervals are percentile bootstraps of the mean over problems: seeded, so two runs agree, and inside the range of
the data, so a band around positive losses stays positive on a log axis. A run that diverged (its loss is NaN or
infinite) counts as +inf: it is never dropped, and the mean of an optimizer with such a run is +inf.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from l2l_tf.errors import InputError

Array = NDArray[np.float64]

LEVEL = 0.95
CHUNK = 4_000_000  # resampled values held in memory at once


@dataclass(frozen=True)
class Window:
    """What is measured on a curve: the mean of its (log) losses from step ``first`` to step ``last``, both included."""

    first: int
    last: int
    log: bool = False

    def __str__(self) -> str:
        if self.log:
            return f"area under the log-loss curve (mean natural log of the loss), steps {self.first}-{self.last}"
        if self.first == self.last:
            return f"loss at step {self.last}"
        return f"mean loss over steps {self.first}-{self.last}"


@dataclass(frozen=True)
class Interval:
    """A mean over problems and the ends of its 95% interval: arrays of one shape, [...]; scalars are shape []."""

    mean: Array
    low: Array
    high: Array


def loss_table(curves: pd.DataFrame) -> pd.DataFrame:
    """Curves as one row per run and one column per step; losses that are not finite become +inf.

    Args:
        curves: long format as in the store, one panel (and, in figure 6, one architecture).

    Returns:
        [optimizers x problems, steps], float64, rows indexed by (optimizer, seed), steps ascending.

    Raises:
        InputError: the optimizers were not run on the same problems and steps, or one was stored twice.
    """
    panel = curves["panel"].iloc[0]
    ordered = curves.sort_values(["optimizer", "seed", "step"])
    if ordered.duplicated(["optimizer", "seed", "step"]).any():
        raise InputError(f"panel {panel}: the same optimizer, seed and step is there twice")
    optimizers, seeds, steps = (sorted(ordered[key].unique()) for key in ("optimizer", "seed", "step"))
    if len(ordered) != len(optimizers) * len(seeds) * len(steps):
        raise InputError(f"panel {panel}: the optimizers were not all run on the same seeds and steps")
    losses = ordered["loss"].to_numpy(dtype=np.float64).reshape(-1, len(steps))
    runs = pd.MultiIndex.from_product([optimizers, seeds], names=["optimizer", "seed"])
    return pd.DataFrame(np.where(np.isfinite(losses), losses, np.inf), index=runs, columns=steps)


def problem_losses(curves: pd.DataFrame, window: Window) -> pd.DataFrame:
    """Each optimizer's measure on each problem.

    Args:
        curves: as for ``loss_table``.
        window: the measure.

    Returns:
        [problems, optimizers], float64, indexed by seed; +inf where the run diverged inside the window.

    Raises:
        InputError: the curves do not hold every step of the window, or are not paired.
    """
    inside = curves[curves["step"].between(window.first, window.last)]
    if inside["step"].nunique() != window.last - window.first + 1:
        raise InputError(f"panel {curves['panel'].iloc[0]}: lacks some of the steps {window.first}-{window.last}")
    table = loss_table(inside)
    values = table.to_numpy()
    if window.log:
        values = np.log(np.maximum(values, np.finfo(np.float32).tiny))
    optimizers, seeds = table.index.unique("optimizer"), table.index.unique("seed")
    return pd.DataFrame(values.mean(axis=1).reshape(len(optimizers), -1).T, index=seeds, columns=optimizers)


def variation_losses(curves: pd.DataFrame, window: Window, keys: Sequence[str]) -> pd.DataFrame:
    """``problem_losses`` of every variation of a panel's optimizee.

    Args:
        keys: the columns that tell the variations apart, such as ``units``.

    Returns:
        [variations x problems, optimizers], float64, indexed by (*keys, seed), all ascending.

    Raises:
        InputError: as for ``problem_losses``, or the variations have not the same seeds and optimizers.
    """
    by = keys[0] if len(keys) == 1 else list(keys)
    groups = {key: problem_losses(group, window) for key, group in curves.groupby(by)}
    table = pd.concat(groups, names=list(keys))
    if table.isna().any(axis=None) or len(table) != len(groups) * table.index.unique("seed").size:
        panel = curves["panel"].iloc[0]
        raise InputError(f"panel {panel}: the variations were not all run with the same seeds and optimizers")
    return table


def mean_interval(values: Array, resamples: int = 10_000, seed: int = 0) -> Interval:
    """Mean over problems with its 95% percentile bootstrap interval.

    With no spread the interval is the mean itself. One problem says nothing about spread: the ends are NaN. Infinite
    values make the mean infinite, and an end infinite when enough resamples hold one; NaN makes everything NaN.

    Args:
        values: [n, ...], one row per problem.
        resamples: how many times the problems are drawn again, with replacement.
        seed: of the draws; equal seeds and n draw the same problems, so intervals of paired samples are paired.

    Returns:
        Mean and ends, each [...].
    """
    with np.errstate(invalid="ignore"):
        mean = values.mean(axis=0)
    if len(values) < 2:
        return Interval(mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan))
    return _interval(mean, _resampled_means(values, resamples, seed))


def paired_difference(first: Array, second: Array, resamples: int = 10_000, seed: int = 0) -> Interval:
    """Mean of first minus second, [n] each, on the same n problems; problems are resampled in pairs.

    Where both are infinite the difference is undefined, and the interval NaN.
    """
    with np.errstate(invalid="ignore"):
        return mean_interval(first - second, resamples, seed)


def paired_ratio(first: Array, second: Array, resamples: int = 10_000, seed: int = 0) -> Interval:
    """Mean of first divided by mean of second, [n] each, on the same n problems; problems are resampled in pairs."""
    with np.errstate(invalid="ignore"):
        ratio = np.asarray(first.mean() / second.mean())
        if len(first) < 2:
            return Interval(ratio, np.full_like(ratio, np.nan), np.full_like(ratio, np.nan))
        means = _resampled_means(np.stack([first, second], axis=1), resamples, seed)
        return _interval(ratio, means[:, 0] / means[:, 1])


def unpaired_difference(first: Array, second: Array, resamples: int = 10_000, seed: int = 0) -> Interval:
    """Mean of first [n] minus mean of second [m], on problems that have nothing to do with each other."""
    with np.errstate(invalid="ignore"):
        mean = first.mean(axis=0) - second.mean(axis=0)
        if min(len(first), len(second)) < 2:
            return Interval(mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan))
        means = _resampled_means(first, resamples, seed) - _resampled_means(second, resamples, seed + 1)
    return _interval(mean, means)


def _interval(mean: Array, means: Array) -> Interval:
    """Percentiles of resampled means [resamples, ...], rounded outwards: no interpolation, so infinities are safe."""
    tail = (1 - LEVEL) / 2 * (len(means) - 1)
    ordered = np.sort(means, axis=0)
    undefined = np.isnan(ordered[-1])  # NaN sorts last
    low = np.where(undefined, np.nan, ordered[int(np.floor(tail))])
    high = np.where(undefined, np.nan, ordered[int(np.ceil(len(means) - 1 - tail))])
    return Interval(mean, low, high)


def _resampled_means(values: Array, resamples: int, seed: int) -> Array:
    """Means of bootstrap samples: [resamples, ...] from [n, ...]."""
    n = len(values)
    columns = values.reshape(n, -1)
    means = [_weighted_means(counts / n, columns) for counts in _drawn(n, resamples, seed)]
    return np.concatenate(means).reshape(resamples, *values.shape[1:])


@lru_cache(maxsize=8)  # many intervals are of equally many problems
def _drawn(n: int, resamples: int, seed: int) -> list[NDArray[np.uint16]]:
    """How often each of n problems is in each bootstrap sample: [resamples, n], in parts."""
    generator = np.random.default_rng(seed)
    size = max(1, CHUNK // n)
    parts = []
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = generator.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        parts.append(np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.uint16))
    return parts


def _weighted_means(weights: Array, values: Array) -> Array:
    """``weights @ values`` where a zero weight leaves an infinite value out (0 x inf is NaN in a matrix product)."""
    if np.isfinite(values).all():
        return weights @ values
    means = weights @ np.where(np.isfinite(values), values, 0.0)
    with np.errstate(invalid="ignore"):
        for infinity in (np.inf, -np.inf):
            means += np.where(weights @ (values == infinity) > 0, infinity, 0.0)
    means[:, np.isnan(values).any(axis=0)] = np.nan
    return means
