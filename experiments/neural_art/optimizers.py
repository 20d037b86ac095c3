"""A panel's optimizers by name."""

from experiments.composition.panel import Panel
from experiments.results.making import Maker
from experiments.results.queries import chosen_rate
from l2l_tf.checks import instance_of, one_of
from l2l_tf.optimizers import CoordinatewiseOptimizer, everything
from l2l_tf.serialization.trained import build_optimizer


def panel_optimizer(panel: Panel, runs: Maker, name: str) -> CoordinatewiseOptimizer:
    """A trained optimizer of a panel, or one of its baselines at its tuned rate; tunes it if that has not been done."""
    one_of("studies: optimizers", name, [*panel.learned, *panel.baselines])
    if name in panel.learned:
        optimizer = runs.load(panel.learned[name]).groups[0].optimizer
    else:
        rate = chosen_rate(runs.rates(panel, panel.base, name, f"{panel.name} {name}"))
        optimizer = everything(build_optimizer({**panel.baselines[name], "learning_rate": rate})).groups[0].optimizer
    instance_of("studies: optimizers", optimizer, CoordinatewiseOptimizer)
    assert isinstance(optimizer, CoordinatewiseOptimizer)
    return optimizer
