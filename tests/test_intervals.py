"""Intervals and windows on cases with known answers."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from experiments.reports.intervals import (
    Array,
    Window,
    loss_table,
    mean_interval,
    paired_difference,
    problem_losses,
    unpaired_difference,
)
from l2l_tf.errors import InputError

BASELINES = {"SGD": 1.0, "NAG": 0.5}


def panel(name: str, levels: Mapping[str, float], steps: range, seeds: int = 20, spread: float = 0.02) -> pd.DataFrame:
    """Constant losses with noise of the problem, shared by all optimizers, and of the optimizer."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=seeds) * spread
    frames = []
    for optimizer, level in levels.items():
        each = level + shared + rng.normal(size=seeds) * spread / 10
        frames.append(
            pd.DataFrame(
                {
                    "experiment": "test",
                    "panel": name,
                    "optimizee": "net",
                    "optimizer": optimizer,
                    "seed": np.repeat(np.arange(seeds), len(steps)),
                    "step": np.tile(np.array(steps), seeds),
                    "loss": np.repeat(each, len(steps)),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def test_interval_covers_a_normal_mean() -> None:
    samples = np.random.default_rng(1).normal(3.0, 2.0, size=(60, 500))
    interval = mean_interval(samples, resamples=1_000)
    covered = ((interval.low <= 3.0) & (interval.high >= 3.0)).mean()
    assert 0.90 < covered < 0.98
    half_width = (interval.high - interval.low).mean() / 2
    assert half_width == pytest.approx(1.96 * 2.0 / np.sqrt(60), rel=0.05)


def test_interval_without_spread_is_the_mean_and_one_problem_has_none() -> None:
    flat = mean_interval(np.full(10, 0.25))
    assert flat.low == pytest.approx(0.25)
    assert flat.high == pytest.approx(0.25)
    single = mean_interval(np.array([0.25]))
    assert single.mean == 0.25
    assert np.isnan([single.low, single.high]).all()


def test_interval_of_positive_losses_is_positive() -> None:
    interval = mean_interval(np.random.default_rng(0).lognormal(sigma=3.0, size=(5, 100)))
    assert (interval.low > 0).all()


def test_interval_is_seeded_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(7, 3))
    before = mean_interval(values)
    monkeypatch.setattr("experiments.reports.intervals.CHUNK", 100)
    after = mean_interval(values)
    np.testing.assert_allclose(before.low, after.low)
    np.testing.assert_allclose(before.high, after.high)


@pytest.mark.parametrize(
    ("bad", "mean", "high"),
    [([np.inf], np.inf, np.inf), ([-np.inf], -np.inf, None), ([np.inf, -np.inf], np.nan, np.nan)],
)
def test_infinite_values_are_never_dropped(bad: list[float], mean: float, high: float | None) -> None:
    values: Array = np.array([*bad, *np.linspace(0.0, 1.0, 18)])
    interval = mean_interval(values)
    np.testing.assert_equal(float(interval.mean), mean)
    if high is None:  # some resamples leave the infinite value out
        assert 0 < interval.high < 1
        assert interval.low == -np.inf
    else:
        np.testing.assert_equal(float(interval.high), high)


def test_pairing_removes_what_problems_share() -> None:
    rng = np.random.default_rng(0)
    problem = rng.normal(size=200) * 10
    first, second = problem + rng.normal(size=200) * 0.1 - 1.0, problem + rng.normal(size=200) * 0.1
    paired, unpaired = paired_difference(first, second), unpaired_difference(first, second)
    assert paired.mean == pytest.approx(unpaired.mean)
    assert paired.low < -1.0 + 0.05
    assert paired.high < -0.9
    assert unpaired.low < -2
    assert unpaired.high > 0


def test_loss_table_wants_paired_complete_runs() -> None:
    curves = panel("4-left", {"LSTM": 0.1} | BASELINES, range(1, 4), seeds=5)
    assert loss_table(curves.sample(frac=1, random_state=0)).shape == (15, 3)
    with pytest.raises(InputError, match="same seeds and steps"):
        loss_table(curves.iloc[1:])
    with pytest.raises(InputError, match="same seeds and steps"):
        loss_table(curves[(curves["optimizer"] != "SGD") | (curves["seed"] != 2)])
    with pytest.raises(InputError, match="there twice"):
        loss_table(pd.concat([curves, curves.iloc[:1]]))
    with pytest.raises(InputError, match="panel 4-left: lacks some of the steps 1-100"):
        problem_losses(curves, Window(1, 100))


def test_windows_measure() -> None:
    curves = panel("x", {"LSTM": np.e, "SGD": 1.0}, range(1, 11), seeds=2, spread=0.0)
    assert problem_losses(curves, Window(1, 10, log=True)).loc[0].to_dict() == pytest.approx({"LSTM": 1.0, "SGD": 0.0})
    curves["loss"] *= curves["step"]
    assert problem_losses(curves, Window(9, 10)).loc[1, "SGD"] == pytest.approx(9.5)
    assert problem_losses(curves, Window(10, 10)).loc[1, "SGD"] == pytest.approx(10.0)
