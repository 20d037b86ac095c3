"""Figure 10 (appendix B): the update that an optimizer would propose for other gradients, its state held fixed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import tensorflow as tf

from l2l_tf import seeds
from l2l_tf.optimizees.base import Optimizee
from l2l_tf.optimizers import CoordinatewiseOptimizer, everything
from l2l_tf.unroll import rollout, start


def update_curves(
    optimizee: Optimizee,
    optimizer: CoordinatewiseOptimizer,
    coordinates: Sequence[int],
    steps: Sequence[int],
    seed: int = 0,
    problem: int = 0,
    points: int = 101,
    reach: float = 3.0,
) -> pd.DataFrame:
    """Follows one optimization and, at some steps of it, sweeps the gradient of some coordinates.

    Args:
        coordinates: their numbers in the vector of all coordinates, parameters in the order of their names.
        steps: t at which h_t is held fixed, ascending.
        points: gradients in the sweep, from -r to r with r = `reach` · (root mean square of the coordinate's
            gradients over the trajectory).

    Returns:
        One row a coordinate, step and gradient: columns coordinate, step, gradient, update.
    """
    groups = everything(optimizer)
    (group,) = groups.groups
    begin = start(optimizee, groups, seeds.problem_keys(seed, "test", [problem]))
    states, recorded, first = [], [], 0
    for step in steps:
        trajectory = rollout(optimizee, groups, begin, tf.constant(first), step - first, record=True)
        recorded += groups.vectors(trajectory.gradients, leading=1)
        begin, first = trajectory.end, step
        states.append(group.join(begin.state[0]))
    gradients = tf.concat(recorded, axis=0).numpy()
    frames = []
    for coordinate in coordinates:
        swept = np.linspace(-1, 1, points) * reach * np.sqrt((gradients[:, coordinate] ** 2).mean())
        for step, state in zip(steps, states, strict=True):
            held = group.take(state, [coordinate] * points)
            update, _ = optimizer.update(tf.constant(swept, tf.float32), held)
            frames.append(pd.DataFrame({"coordinate": coordinate, "step": step, "gradient": swept, "update": update}))
    return pd.concat(frames, ignore_index=True)
