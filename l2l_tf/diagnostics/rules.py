"""From measurements to a name: why a meta-training does not learn.

Each rule compares a run with itself. One constant is shared by all of them, a tenth: what counts as a noticeable
share. Losses are compared by their logarithm where they are positive, since they span decades.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from l2l_tf.meta import Schedule

NOTICEABLE = 0.1

LEARNING_RATE = "meta learning rate too high"
SATURATION = "first updates so large that the optimizee saturates"
VANISHING = "vanishing meta-gradient"
HORIZON = "divergence after the training horizon"
NO_PROGRESS = "no progress, and no known reason"


@dataclass(frozen=True)
class Finding:
    """A fault by name; the rule that it broke, with the numbers; what to try."""

    fault: str
    evidence: str
    remedy: str


class Examined:
    """The measures of one φ (`l2l_tf.diagnostics.measures.Examiner`), ready for questions."""

    def __init__(self, table: pd.DataFrame, schedule: Schedule):
        self.table = table
        self.losses = self.values("loss")
        self.start = float(self.losses.iloc[0])
        window = schedule.validation.window
        self.end = self.mean_until(schedule.steps, window)
        self.beyond = self.mean_until(len(self.losses) - 1, window)

    def values(self, measure: str, part: str | None = None) -> pd.Series:
        """A measure's values by position; the mean of its parts if none is named."""
        rows = self.table[self.table.measure == measure]
        rows = rows if part is None else rows[rows.part == part]
        return rows.groupby("position").value.mean()

    def mean_until(self, step: int, window: int) -> float:
        """Mean loss over the `window` steps that end with `step`."""
        return float(self.losses.loc[step - window + 1 : step].mean(skipna=False))


def find_faults(phis: dict[str, pd.DataFrame], schedule: Schedule) -> list[Finding]:
    """What is wrong, the cause before its consequences; empty for a healthy run.

    Args:
        phis: measures of φ by name: "untrained", and if training came that far "best" and "last".
    """
    examined = {name: Examined(table, schedule) for name, table in phis.items()}
    untrained = examined["untrained"]
    last, best = examined.get("last", untrained), examined.get("best", untrained)
    trained = "last" in examined
    rules = [
        saturation(untrained, last, schedule),
        learning_rate(untrained, best, last, schedule) if trained else first_step(untrained, schedule),
        vanishing(untrained, last),
        horizon(last, schedule) if trained else None,
    ]
    found = [finding for finding in rules if finding is not None]
    if not found and trained and not learned(untrained, last):
        return [Finding(NO_PROGRESS, nothing_learned(untrained, last), "train longer, or raise schedule.learning_rate")]
    return found


def descent(start: float, end: float) -> float:
    """How far a loss has come down from `start` to `end`, as a share; of the logarithm for positive losses."""
    if not np.isfinite(end):
        return -np.inf
    if start > 0 and end > 0:
        return float(np.log(start / end))
    return (start - end) / max(abs(start), np.finfo(float).tiny)


def better(end: float, start: float) -> bool:
    """Whether `end` is noticeably below `start`."""
    return descent(start, end) > NOTICEABLE


def fell_back(start: float, best: float, end: float) -> bool:
    """Whether more than half of the way down from `start` to `best` is lost at `end`, and a noticeable part."""
    return -descent(best, end) > max(descent(start, best) / 2, NOTICEABLE)


def learned(untrained: Examined, last: Examined) -> bool:
    """Whether the last φ lowers the loss, and further than the untrained one."""
    return better(last.end, last.start) and better(last.end, untrained.end)


def nothing_learned(untrained: Examined, last: Examined) -> str:
    """The numbers that say so."""
    return f"the last φ goes from loss {last.start:.3g} to {last.end:.3g}, the untrained one to {untrained.end:.3g}"


def saturation(untrained: Examined, last: Examined, schedule: Schedule) -> Finding | None:
    """Most hidden units saturate within the untrained φ's first unroll, and the last φ does no better than chance."""
    saturated = untrained.values("saturated hidden units")
    if saturated.empty:
        return None
    chance = min(last.start, *last.values("chance level"))
    after = float(saturated.loc[: schedule.unroll].max())
    if after <= 0.5 or better(last.end, chance):
        return None
    if saturated.iloc[0] > 0.5:
        cause, remedy = "already at θ_0", "change optimizee.initial_deviation: θ_0 itself is at fault"
    else:
        first = float(untrained.values("relative update").iloc[0])
        cause = f"{saturated.iloc[0]:.0%} at θ_0; the first update is {first:.3g} times as large as θ_0"
        remedy = (
            "a tenth of optimizer.output_scale or of optimizer.output_deviation; a larger optimizer.preprocessing.p"
        )
    return Finding(
        SATURATION,
        f"{after:.0%} of the hidden units saturate within the first unroll ({cause}), and the last φ ends at loss "
        f"{last.end:.3g}, stuck at chance level {chance:.3g}",
        remedy,
    )


def learning_rate(untrained: Examined, best: Examined, last: Examined, schedule: Schedule) -> Finding | None:
    """Training has lost more than half of what it had gained, or made φ worse than untrained."""
    reference = min(best, untrained, key=lambda phi: phi.end)
    if not fell_back(untrained.end, reference.end, last.end):
        return None
    evidence = (
        f"the last φ ends at loss {last.end:.3g}, the best before it at {reference.end:.3g}, the untrained one at "
        f"{untrained.end:.3g}"
    )
    return Finding(LEARNING_RATE, evidence, lower_rate(untrained, schedule))


def first_step(untrained: Examined, schedule: Schedule) -> Finding | None:
    """Training left no checkpoint, and its first meta-step raises the very loss whose gradient it follows."""
    probe = untrained.values("meta-loss after one meta-step")
    before, after = float(probe.iloc[0]), float(probe.iloc[-1])
    if not better(before, after) and np.isfinite(after):
        return None
    evidence = (
        f"there is no checkpoint; one meta-step along the meta-gradient takes the meta-loss of the same unroll from "
        f"{before:.3g} to {after:.3g}"
    )
    return Finding(LEARNING_RATE, evidence, lower_rate(untrained, schedule))


def lower_rate(untrained: Examined, schedule: Schedule) -> str:
    """Which learning rate to try: the largest probed one whose first meta-step lowers the loss, or the default."""
    probe = untrained.values("meta-loss after one meta-step")
    helpful = [float(rate) for rate in probe.index if rate > 0 and probe.loc[rate] < probe.loc[0.0]]
    rate = min(schedule.learning_rate / 10, helpful[-1] if helpful else Schedule.learning_rate)
    return f"schedule.learning_rate={rate:.1g} instead of {schedule.learning_rate:.1g}, or set schedule.clip_norm"


def vanishing(untrained: Examined, last: Examined) -> Finding | None:
    """Nothing learned, and in most unrolls changing φ by its own size would hardly change the loss, to first order."""
    elasticity = last.values("meta-gradient elasticity")
    vanished = ~(elasticity >= NOTICEABLE)
    if vanished.mean() <= 0.5 or learned(untrained, last):
        return None
    return Finding(
        VANISHING,
        f"in {vanished.sum()} of {len(vanished)} unrolls ‖dL/dφ‖ ‖φ‖ is below a tenth of the summed loss (median "
        f"{elasticity.median():.2g}), and {nothing_learned(untrained, last)}",
        "schedule.weights=all; raise optimizer.output_scale; where gates are saturated start again with a lower "
        "schedule.learning_rate; where most inputs are in the linear branch raise optimizer.preprocessing.p",
    )


def horizon(last: Examined, schedule: Schedule) -> Finding | None:
    """What the last φ gains within the trained length, it loses by more than half after it."""
    if not better(last.end, last.start) or not fell_back(last.start, last.end, last.beyond):
        return None
    return Finding(
        HORIZON,
        f"from loss {last.start:.3g} down to {last.end:.3g} after the trained {schedule.steps} steps, but "
        f"{last.beyond:.3g} after {len(last.losses) - 1}",
        f"train for longer optimizations: schedule.steps={3 * schedule.steps}, or lengths that vary: "
        f"schedule.shortest={schedule.unroll} with a larger schedule.steps",
    )
