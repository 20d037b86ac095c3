"""What the paper says, panel by panel, held against the stored runs: one row per claim, with a verdict.

The statements are in `conf/panel/`, beside the panels that they are about; how each is decided is here.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
import pandas as pd

from experiments.composition.panel import Claim
from experiments.reports.intervals import (
    Interval,
    Window,
    loss_table,
    paired_difference,
    problem_losses,
    unpaired_difference,
    variation_losses,
)
from experiments.results.queries import PanelRuns
from l2l_tf.checks import one_of
from l2l_tf.errors import InputError

# The rule behind every verdict; claims.md opens with it.
RULE = """\
Every optimizer of a panel runs on the same problems (same initial parameters, same minibatches), so losses are
compared problem by problem. `best_baseline` is the tuned baseline with the lowest mean on these very problems, the
strictest choice. `difference` = `learned` - `best_baseline`, the mean over `n` problems, with its 95% percentile
bootstrap interval `ci_low` to `ci_high` (10,000 resamples of the problems, seeded). Lower is better.

`reproduced` means:

- the learned optimizer is best: `ci_high` < 0.
- 5-right, where the paper reports that the LSTM loses: `ci_low` > 0.
- figure 6: losses are averaged over the sizes, the best baseline chosen anew for each; `ci_high` < 0, and the LSTM's
  mean is below every baseline's at more than half of the sizes.
- larger lead than on CIFAR-10: `learned` and `best_baseline` are the differences to the best baseline on this panel
  and on CIFAR-10, their difference's interval is that of two independent samples; `ci_high` < 0.
- LSTM-sub hardly worse: the mean of LSTM-sub (`learned`) is at most 10% above the LSTM's (`best_baseline`), as in the
  paper, where its curve ends (at step 1,020) 10% above it on CIFAR-5 and 9% below it on CIFAR-2.
- one LSTM for all parameters worse than two (`learned` is the one, `best_baseline` the two): `ci_low` > 0.
- below one baseline on neural art's new style: that one is `best_baseline`; `ci_high` < 0.
- at step 64 already below the best baseline's end: `ci_high` < 0.
- figure 10: the LSTM's updates along its own way and those that ADAM and SGD propose there, over all coordinates and
  steps of each test content. Larger: `learned` and `best_baseline` are root mean squares, `difference` is that of their
  natural logarithms; `ci_low` > 0. Less smooth: autocorrelation of successive updates; `ci_high` < 0.
- beyond 1,000 steps: `best_baseline` is the same optimizer's own earlier loss; `ci_high` < 0, and it diverged on no
  problem: every loss finite, and each problem's loss over the last steps below its first loss.

A run whose loss is not finite (it diverged) counts as +inf and is never dropped: a baseline that diverges on one
problem cannot be the best one (unless all do), and a learned optimizer that does cannot win. Where learned and
baseline both diverge the difference is undefined (nan), and nothing undefined, nor an interval from a single problem,
is `reproduced`.
"""

HARDLY_WORSE = 1.1  # what the paper calls so: its LSTM-sub ends 10% above its LSTM on CIFAR-5

REPRODUCED = {True: "reproduced", False: "not reproduced"}

Stored = Mapping[str, PanelRuns]  # by the panel's key


@dataclass(frozen=True)
class Row:
    """One row of ``claims.csv``; the fields are its columns."""

    claim: str
    figure: str
    statement: str
    metric: str
    learned: float
    best_baseline: float
    best_baseline_name: str
    difference: float
    ci_low: float
    ci_high: float
    n: int
    verdict: str


def window_of(claim: Claim, runs: PanelRuns) -> Window:
    """The measure that decides a claim."""
    measure = runs.panel.measure(claim)
    return Window(1, runs.panel.steps, log=True) if isinstance(measure, str) else Window(*measure)


def final_window(runs: PanelRuns) -> Window:
    """The steps over which a panel's final loss is the mean."""
    return Window(runs.panel.steps - runs.panel.window + 1, runs.panel.steps)


def row(
    claim: Claim,
    runs: PanelRuns,
    learned: float,
    baseline: float,
    name: str,
    difference: Interval,
    n: int,
    holds: bool,
    metric: str = "",
) -> Row:
    """A claim's row; `metric` defaults to the window's own words."""
    ends = float(difference.mean), float(difference.low), float(difference.high)
    metric = metric or str(window_of(claim, runs))
    figure = runs.panel.name
    return Row(claim.name, figure, claim.statement, metric, learned, baseline, name, *ends, n, REPRODUCED[holds])


def best_baseline(losses: pd.DataFrame, runs: PanelRuns) -> str:
    """The baseline with the lowest mean of [problems, optimizers] losses; the first in the alphabet when equal.

    Raises:
        InputError: the panel has none.
    """
    if not runs.baselines:
        raise InputError(f"panel {runs.panel.name}: no baseline has runs: {', '.join(runs.missing)}")
    return min(sorted(runs.baselines), key=lambda name: losses[name].to_numpy().mean())


def against_best(claim: Claim, runs: PanelRuns) -> tuple[pd.DataFrame, str, Interval]:
    """Losses [problems, optimizers], the best baseline's name, and the interval of the learned one minus it."""
    losses = problem_losses(runs.curves(), window_of(claim, runs))
    best = best_baseline(losses, runs)
    return losses, best, paired_difference(losses[claim.learned].to_numpy(), losses[best].to_numpy())


def wins(claim: Claim, runs: PanelRuns, stored: Stored) -> list[Row]:
    """The learned optimizer is below the best baseline."""
    del stored
    losses, best, difference = against_best(claim, runs)
    means = losses[claim.learned].mean(), losses[best].mean()
    return [row(claim, runs, *means, best, difference, len(losses), bool(difference.high < 0))]


def beats(claim: Claim, runs: PanelRuns, stored: Stored) -> list[Row]:
    """The learned optimizer is below one baseline or other learned optimizer, the claim's `other`."""
    del stored
    everyone = [*runs.panel.baselines, *runs.panel.learned]
    other = one_of(f"panel={runs.panel.key}: claims.other", str(claim.other), everyone)
    if other not in runs.runs:
        return []
    losses = problem_losses(runs.curves(), window_of(claim, runs))
    difference = paired_difference(losses[claim.learned].to_numpy(), losses[other].to_numpy())
    means = losses[claim.learned].mean(), losses[other].mean()
    return [row(claim, runs, *means, other, difference, len(losses), bool(difference.high < 0))]


def ends_early(claim: Claim, runs: PanelRuns, stored: Stored) -> list[Row]:
    """The learned optimizer is, over the claim's steps, below where the best baseline ends."""
    del stored
    curves, window = runs.curves(), window_of(claim, runs)
    ends = problem_losses(curves, final_window(runs))
    best = best_baseline(ends, runs)
    early = problem_losses(curves, window)[claim.learned].to_numpy()
    difference = paired_difference(early, ends[best].to_numpy())
    metric = f"{window}, against the baseline's {final_window(runs)}"
    means = float(early.mean()), float(ends[best].mean())
    return [row(claim, runs, *means, best, difference, len(ends), bool(difference.high < 0), metric)]


def loses(claim: Claim, runs: PanelRuns, stored: Stored) -> list[Row]:
    """The learned optimizer is above the best baseline."""
    del stored
    losses, best, difference = against_best(claim, runs)
    means = losses[claim.learned].mean(), losses[best].mean()
    return [row(claim, runs, *means, best, difference, len(losses), bool(difference.low > 0))]


def wins_most_variations(claim: Claim, runs: PanelRuns, stored: Stored) -> list[Row]:
    """The learned optimizer is below the best baseline on the average over variations, and in most of them."""
    del stored
    window, keys = window_of(claim, runs), list(runs.panel.variation_keys)
    tables = [losses for _, losses in variation_losses(runs.curves(), window, keys).groupby(keys)]
    names = [best_baseline(losses, runs) for losses in tables]
    learned = np.stack([losses[claim.learned].to_numpy() for losses in tables])  # [variations, problems]
    best = np.stack([losses[name].to_numpy() for losses, name in zip(tables, names, strict=True)])
    won = int((learned.mean(axis=1) < best.mean(axis=1)).sum())
    difference = paired_difference(learned.mean(axis=0), best.mean(axis=0))
    holds = bool(difference.high < 0) and won > len(names) / 2
    metric = f"{window}, averaged over sizes; {claim.learned} below every baseline in {won} of {len(names)}"
    counts = ", ".join(f"{name} in {count}" for name, count in pd.Series(names).value_counts().items())
    return [row(claim, runs, learned.mean(), best.mean(), counts, difference, learned.shape[1], holds, metric)]


def leads_more_than(claim: Claim, runs: PanelRuns, stored: Stored) -> list[Row]:
    """The learned optimizer's difference to the best baseline is further below zero than on another panel."""
    other = stored.get(claim.other or "")
    if other is None:
        return []
    gaps, names = [], []
    for panel in (runs, other):
        losses, best, _ = against_best(claim, panel)
        names.append(best)
        with np.errstate(invalid="ignore"):
            gaps.append((losses[claim.learned] - losses[best]).to_numpy())
    difference = unpaired_difference(gaps[0], gaps[1])
    name = f"{other.panel.title}: {claim.learned} - {names[1]} (here: {claim.learned} - {names[0]})"
    means = float(gaps[0].mean()), float(gaps[1].mean())
    return [row(claim, runs, *means, name, difference, min(map(len, gaps)), bool(difference.high < 0))]


def hardly_worse(claim: Claim, runs: PanelRuns, stored: Stored) -> list[Row]:
    """A learned optimizer's mean is at most `HARDLY_WORSE` times the LSTM's."""
    del stored
    losses = problem_losses(runs.curves(), window_of(claim, runs))
    sub, lstm = losses[claim.learned].to_numpy(), losses["LSTM"].to_numpy()
    holds = bool(np.isfinite(sub).all() and sub.mean() <= HARDLY_WORSE * lstm.mean())
    return [row(claim, runs, sub.mean(), lstm.mean(), "LSTM", paired_difference(sub, lstm), len(losses), holds)]


def worse_than(claim: Claim, runs: PanelRuns, stored: Stored) -> list[Row]:
    """A learned optimizer is above another panel's LSTM on the same problems."""
    other = stored.get(claim.other or "")
    if other is None:
        return []
    window = window_of(claim, runs)
    here = problem_losses(runs.curves(), window)[claim.learned].to_numpy()
    there = problem_losses(other.curves(), window)["LSTM"].to_numpy()
    if len(here) != len(there):
        raise InputError(f"panel {runs.panel.name}: must have the problems of panel {other.panel.name}")
    difference = paired_difference(here, there)
    return [row(claim, other, here.mean(), there.mean(), "LSTM", difference, len(here), bool(difference.low > 0))]


def stays_stable(claim: Claim, runs: PanelRuns, stored: Stored) -> list[Row]:
    """A learned optimizer ends below its own loss at a fifth of the run and diverges on no problem: a row for each."""
    del stored
    curves, window = runs.curves(), window_of(claim, runs)
    fifth = runs.panel.steps // 5
    early = problem_losses(curves, Window(fifth - runs.panel.window + 1, fifth))
    late, every_step = problem_losses(curves, window), loss_table(curves)
    rows = []
    for optimizer in runs.learned:
        losses = every_step.loc[optimizer].to_numpy()
        end, before = late[optimizer].to_numpy(), early[optimizer].to_numpy()
        diverged = int((~np.isfinite(losses).all(axis=1) | ~(end < losses[:, 0])).sum())
        difference = paired_difference(end, before)
        holds = bool(difference.high < 0) and diverged == 0
        steps = f"steps {fifth - runs.panel.window + 1}-{fifth}"
        metric = f"{window}, against {steps}; diverged on {diverged} of {len(end)} problems"
        named = Claim(f"{claim.name}-{optimizer}", f"{claim.statement}: {optimizer}", claim.compare, claim.window)
        name = f"{optimizer} at {steps}"
        rows.append(row(named, runs, end.mean(), before.mean(), name, difference, len(end), holds, metric))
    return rows


COMPARISONS: Mapping[str, Callable[[Claim, PanelRuns, Stored], list[Row]]] = {
    comparison.__name__: comparison
    for comparison in (
        wins,
        beats,
        ends_early,
        loses,
        wins_most_variations,
        leads_more_than,
        hardly_worse,
        worse_than,
        stays_stable,
    )
}


def claims_table(stored: Stored) -> pd.DataFrame:
    """One row for every claim about a panel whose learned optimizer and baselines have runs.

    Raises:
        InputError: a claim is not as it must be, or a panel lacks steps of a claim's window.
    """
    rows = []
    for runs in stored.values():
        for claim in runs.panel.claims:
            compare = COMPARISONS[one_of(f"panel={runs.panel.key}: claims.compare", claim.compare, COMPARISONS)]
            one_of(f"panel={runs.panel.key}: claims.learned", claim.learned, runs.panel.learned)
            if claim.learned in runs.learned and (runs.baselines or not runs.panel.baselines):
                rows += [asdict(found) for found in compare(claim, runs, stored)]
    return pd.DataFrame(rows, columns=[field.name for field in fields(Row)])
