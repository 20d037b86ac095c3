"""Made-up runs of panels, for tests of what reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from experiments.composition.panel import Panel, compose_panel
from experiments.results.queries import PanelRuns
from experiments.results.run import Run

BASELINES = {"SGD": 1.0, "NAG": 0.5}


@lru_cache
def composed(key: str, *overrides: str) -> Panel:
    """A panel of `conf/panel/`."""
    return compose_panel(key, overrides)


def panel_runs(
    key: str,
    levels: Mapping[str, float | Sequence[float]],
    problems: int = 20,
    spread: float = 0.02,
    overrides: Sequence[str] = (),
) -> PanelRuns:
    """Constant losses with noise of the problem, shared by all optimizers, and of the optimizer.

    Args:
        levels: by optimizer; a list has one for each variation. Those that the panel does not know are learned.
    """
    panel = composed(key, f"panel.problems={problems}", *overrides)
    panel = replace(panel, learned={**panel.learned, **{n: "mnist" for n in levels if n not in panel.baselines}})
    variations = list(panel.variations())
    draw = np.random.default_rng(0)
    shared = [draw.normal(size=problems) * spread for _ in variations]
    runs: dict[str, list[Run]] = {name: [] for name in levels}
    for name, level in levels.items():
        for index, (_, optimizee) in enumerate(variations):
            spec = panel.test_spec(optimizee, {"_target_": name})
            mean = level if isinstance(level, int | float) else level[index]
            each = mean + shared[index] + draw.normal(size=problems) * spread / 10
            losses = np.repeat(each[:, None], spec.shape[1], axis=1).astype(np.float32)
            runs[name].append(Run(spec, losses, losses[0, :11], {"revision": "0"}))
    rates = {name: [0.1 * (i + 1) for i in range(len(variations))] for name in levels if name in panel.baselines}
    return PanelRuns(panel, [variation for variation, _ in variations], runs, rates)


def changed(runs: PanelRuns, optimizer: str, change: Any) -> PanelRuns:
    """The same with `change(losses)` for an optimizer's losses [problems, steps]."""
    new = [replace(run, losses=change(run.losses.copy())) for run in runs.runs[optimizer]]
    return replace(runs, runs={**runs.runs, optimizer: new})


def spoiled(runs: PanelRuns, optimizer: str, value: float, problem: int = 3, last: int = 6) -> PanelRuns:
    """The same with the last losses of one problem replaced."""

    def spoil(losses: np.ndarray) -> np.ndarray:
        losses[problem, -last:] = value
        return losses

    return changed(runs, optimizer, spoil)
