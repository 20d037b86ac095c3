"""What the stored runs of a panel say; nothing is run here, and TensorFlow is not imported."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.composition.panel import Panel
from experiments.results.run import Run, canonical_rate
from experiments.results.store import Store
from experiments.results.trained import describe
from l2l_tf.errors import InputError
from l2l_tf.evaluation.tuning_rule import tune


class MissingRunError(Exception):
    """A run that a query needs is not stored."""


@dataclass(frozen=True)
class PanelRuns:
    """A panel's stored runs.

    Attributes:
        runs: by optimizer, one for each variation of the optimizee.
        rates: the tuned learning rate of each baseline, one for each variation.
        variations: what is varied, `{"units": 5}`; one empty mapping where nothing is.
        missing: the optimizers that lack a run, in words.
    """

    panel: Panel
    variations: Sequence[Mapping[str, Any]]
    runs: Mapping[str, Sequence[Run]]
    rates: Mapping[str, Sequence[float]] = field(default_factory=dict)
    missing: Sequence[str] = ()

    @property
    def learned(self) -> list[str]:
        """The learned optimizers that have runs."""
        return [name for name in self.runs if name in self.panel.learned]

    @property
    def baselines(self) -> list[str]:
        """The tuned baselines that have runs."""
        return [name for name in self.runs if name in self.panel.baselines]

    def curves(self) -> pd.DataFrame:
        """All losses: columns panel, what is varied, optimizer, seed (the problem's number), step, loss."""
        frames = []
        for name, runs in self.runs.items():
            for variation, run in zip(self.variations, runs, strict=True):
                problems, steps = run.losses.shape
                frames.append(
                    pd.DataFrame(
                        {
                            "panel": self.panel.name,
                            **variation,
                            "optimizer": name,
                            "seed": np.repeat(np.arange(problems), steps),
                            "step": np.tile(run.steps, problems),
                            "loss": run.losses.reshape(-1),
                        }
                    )
                )
        return pd.concat(frames, ignore_index=True)

    def accuracies(self) -> pd.DataFrame:
        """Final accuracies: columns as of `curves` with accuracy instead of loss; no rows where there are none."""
        frames = [
            pd.DataFrame({"panel": self.panel.name, **variation, "optimizer": name, "accuracy": run.accuracy})
            for name, runs in self.runs.items()
            for variation, run in zip(self.variations, runs, strict=True)
            if run.accuracy is not None
        ]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def stored_rates(
    store: Store,
    panel: Panel,
    optimizee: Mapping[str, Any],
    baseline: Mapping[str, Any],
    used: Callable[[Run], object] = lambda run: None,
) -> pd.DataFrame:
    """A baseline's tuning from its stored runs: columns learning_rate, loss, chosen, n.

    Args:
        optimizee: a variation of the panel's; baseline: the optimizer's configuration, without a learning rate.
        used: is told of every run that the tuning rule asks for.

    Raises:
        MissingRunError: a run that the tuning rule asks for is not stored.
    """
    tuned_on = panel.tuning_optimizee(optimizee)

    def run(rates: Sequence[float], problems: int) -> list[float]:
        losses = []
        for rate in rates:
            spec = panel.tuning_spec(tuned_on, baseline, problems).with_rate(rate)
            found = store.find(spec)
            if found is None:
                raise MissingRunError(f"tuning, {spec}")
            used(found)
            losses.append(found.final)
        return losses

    settings = panel.tuning
    return tune(run, settings.low, settings.high, settings.per_decade, settings.problems, settings.finals)


def chosen_rate(rates: pd.DataFrame) -> float:
    """The tuned learning rate in a table of `stored_rates`."""
    return canonical_rate(float(rates.learning_rate[rates.chosen].item()))


def stored_panel(panel: Panel, results: Path) -> PanelRuns | None:
    """A panel's stored runs; None if there are none at all.

    Raises:
        InputError: a file is damaged.
    """
    store = Store(results)
    variations = list(panel.variations())
    runs: dict[str, list[Run]] = {}
    rates: dict[str, list[float]] = {}
    missing: list[str] = []

    def collect(name: str, optimizers: list[Mapping[str, Any]]) -> None:
        found = [
            store.find(panel.test_spec(optimizee, optimizer))
            for (_, optimizee), optimizer in zip(variations, optimizers, strict=True)
        ]
        if any(run is None for run in found):
            missing.append(name)
        else:
            runs[name] = [run for run in found if run is not None]

    for name, source in panel.learned.items():
        try:
            optimizer = describe([results], source)
        except InputError as error:
            missing.append(f"{name} ({error})")
            continue
        collect(name, [optimizer] * len(variations))
    for name, baseline in panel.baselines.items():
        try:
            tables = [stored_rates(store, panel, optimizee, baseline) for _, optimizee in variations]
        except MissingRunError as error:
            missing.append(f"{name} ({error})")
            continue
        rates[name] = [chosen_rate(table) for table in tables]
        collect(name, [{**baseline, "learning_rate": rate} for rate in rates[name]])
    if not runs:
        return None
    return PanelRuns(panel, [variation for variation, _ in variations], runs, rates, missing)
