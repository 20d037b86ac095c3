"""Updates on one trajectory (appendix B): an optimizer's own, and those that others propose for the same gradients."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from l2l_tf import seeds
from l2l_tf.checks import at_least
from l2l_tf.optimizees.base import Optimizee
from l2l_tf.optimizers import CoordinatewiseOptimizer, ParameterGroups, everything
from l2l_tf.unroll import rollout, start


def gradient_histories(
    optimizee: Optimizee,
    optimizer: CoordinatewiseOptimizer | ParameterGroups,
    steps: int,
    problems: Iterable[int],
    seed: int = 0,
    stream: str = "test",
) -> np.ndarray:
    """The gradients that an optimizer sees on its way, one problem after the other.

    Returns:
        ∇_0 ... ∇_{T-1} of every coordinate, float32 [problems, T, n]; parameters in the order of their names.
    """
    at_least("steps", steps, 1)
    groups = everything(optimizer)

    @tf.function(autograph=False)
    def gradients(keys: tf.Tensor) -> tf.Tensor:
        begin = start(optimizee, groups, keys)
        recorded = rollout(optimizee, groups, begin, tf.constant(0), steps, record=True).gradients
        return tf.concat([tf.reshape(recorded[name], [steps + 1, -1]) for name in sorted(recorded)], axis=1)[:-1]

    return np.stack([gradients(seeds.problem_keys(seed, stream, [problem])).numpy() for problem in problems])


def proposed_updates(optimizer: CoordinatewiseOptimizer, gradients: np.ndarray) -> np.ndarray:
    """The updates g_0 ... g_{T-1}, [T, n], that an optimizer proposes for gradients [T, n], whoever moves θ."""
    step = tf.function(optimizer.update, autograph=False)
    state, updates = optimizer.init(tf.constant(gradients[0])), []
    for gradient in gradients:
        update, state = step(tf.constant(gradient), state)
        updates.append(update.numpy())
    return np.stack(updates)


def update_responses(optimizer: CoordinatewiseOptimizer, history: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """The update that one coordinate would get for other gradients than its own, at each step of a history.

    Args:
        history: the coordinate's gradients ∇_0 ... ∇_{T-1}, [T]; before step t the optimizer has seen the first t.
        gradients: to try at each step, [p].

    Returns:
        Updates [T, p].
    """
    step = tf.function(optimizer.update, autograph=False)
    tried = tf.constant(gradients, tf.float32)
    state, updates = optimizer.init(tried), []  # a copy of the coordinate for each gradient
    for gradient in history:
        updates.append(step(tried, state)[0].numpy())
        state = step(tf.fill(tried.shape, tf.constant(gradient, tf.float32)), state)[1]
    return np.stack(updates)


def root_mean_square(updates: np.ndarray) -> np.ndarray:
    """Of updates [..., T, n] over all steps and coordinates, [...]."""
    return np.sqrt((updates.astype(np.float64) ** 2).mean(axis=(-2, -1)))


def lag_one_autocorrelation(updates: np.ndarray) -> np.ndarray:
    """Correlation of successive updates of a coordinate, the mean over coordinates: [..., T, n] to [...].

    Near 1 where a coordinate's updates change slowly, 0 where each is unrelated to the last. Coordinates whose updates
    never change have none and are left out.
    """
    centred = updates.astype(np.float64) - updates.mean(axis=-2, keepdims=True)
    products = (centred[..., 1:, :] * centred[..., :-1, :]).sum(axis=-2)
    squares = (centred**2).sum(axis=-2)
    return np.nanmean(np.divide(products, squares, out=np.full_like(squares, np.nan), where=squares > 0), axis=-1)
