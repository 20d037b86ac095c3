"""A guard against divergence, for trained optimizers on models that they were not trained on.

It sees what an optimizer sees, gradients and no loss. Two things together tell that a model diverges: the gradient's
norm has grown, and the gradient points away from where the model was before, so that the way from there led uphill.
Growth alone is common: where a model leaves a plateau gradients grow, too, but downhill.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

WINDOW = 10  # steps over which norms and slopes are averaged
GROWTH = 3.0  # of the gradient's norm, on average over a window, that counts as divergence
JUMP = 10.0  # the same in a single step
DAMPING = 0.25  # multiplies the updates, once more at each intervention
DAMPED = 3  # interventions after which the normalized gradient takes over
NORMALIZED_RATE = 1e-3  # root mean square of its first steps
SCALARS = 5  # interventions, usual norm; sum of norms, sum of slopes and number of steps in this window


class Guard:
    """Where a model diverges, sets it back to the last parameters known to be good, and damps the updates from there.

    As long as nothing goes wrong, updates are exactly what they were. The state is five scalars and a copy of each
    variable, renewed after each window of steps whose gradients point downhill from it.
    """

    def __init__(self) -> None:
        self._said = False

    def initial_state(self, variables: Sequence[Any]) -> list[tf.Tensor]:
        """The scalars, then room for the copies, which the first step makes."""
        with tf.init_scope():
            room = [tf.zeros(variable.shape, variable.dtype) for variable in variables]
            return [tf.zeros([]) for _ in range(SCALARS)] + room

    def __call__(
        self,
        gradients: Sequence[tf.Tensor | None],
        updates: Sequence[tf.Tensor | None],
        variables: Sequence[tf.Variable | None],
        state: Sequence[tf.Variable],
    ) -> tuple[list[tf.Tensor | None], tf.Tensor]:
        """What to add to each variable, and whether the model was set back, so that the optimizer must start again.

        Args:
            gradients: ∇_t, dense; None where there is none.
            updates: what the optimizer proposes, the learning rate included; None where `gradients` is.
            variables: θ_t.
            state: changed in place.
        """
        interventions, copies = state[0], state[SCALARS:]
        parts = [
            _Part(gradient, update, tf.convert_to_tensor(variable), copy)
            for gradient, update, variable, copy in zip(gradients, updates, variables, copies, strict=True)
            if gradient is not None and update is not None
        ]
        seen = _look(parts, *state[1:SCALARS])
        made = iter(_instead(parts, interventions, seen))
        pairs = zip(gradients, updates, strict=True)
        additions = [None if gradient is None or update is None else next(made) for gradient, update in pairs]
        tf.cond(seen.renewed | seen.first, lambda: _renew(parts), lambda: False)
        for scalar, value in zip(state[1:SCALARS], seen.scalars, strict=True):
            scalar.assign(value)
        interventions.assign_add(tf.cast(seen.diverged, tf.float32))
        return additions, seen.diverged

    def say(self, state: Sequence[Any]) -> None:
        """Warns, once, if it has intervened."""
        count = int(tf.convert_to_tensor(state[0]))
        if count and not self._said:
            self._said = True
            warnings.warn(
                f"the trained optimizer diverges on this model: its guard has set the parameters back {count} times so "
                f"far, and damps the updates by {DAMPING} each time; after {DAMPED} times the normalized gradient "
                "takes over (guard=False switches the guard off)",
                stacklevel=2,
            )


class _Part(NamedTuple):
    """A variable that has a gradient: ∇_t, the update proposed, θ_t, and the copy."""

    gradient: tf.Tensor
    update: tf.Tensor
    now: tf.Tensor
    copy: tf.Variable


class _Seen(NamedTuple):
    """What a step shows: each a bool [], but norm, a float32 [], and scalars, the new values of all but the first."""

    first: tf.Tensor  # there are no copies yet
    diverged: tf.Tensor
    renewed: tf.Tensor  # a window has ended, downhill
    norm: tf.Tensor
    scalars: Sequence[tf.Tensor]


def _look(parts: Sequence[_Part], usual: Any, norms: Any, slopes: Any, steps: Any) -> _Seen:
    """What this step's gradients and the window's sums so far say; reads the state and changes nothing."""
    first = usual <= 0.0
    norm = tf.sqrt(_dot([(part.gradient, part.gradient) for part in parts]))
    slope = tf.where(first, 0.0, _dot([(part.gradient, part.now - part.copy) for part in parts]))
    proposed = _dot([(part.update, part.update) for part in parts])
    reference = tf.where(first, norm, usual)
    norms, slopes, steps = norms + norm, slopes + slope, steps + 1.0
    full, uphill = steps >= WINDOW, slopes > 0.0
    jumped = (slope > 0.0) & (norm > JUMP * reference)
    grown = full & uphill & (norms > GROWTH * WINDOW * reference)
    diverged = jumped | grown | ~tf.math.is_finite(norm + proposed)
    renewed = full & ~uphill & ~diverged
    sums = [tf.where(full | diverged, 0.0, total) for total in (norms, slopes, steps)]
    return _Seen(first, diverged, renewed, norm, [tf.where(renewed, norms / WINDOW, reference), *sums])


def _instead(parts: Sequence[_Part], interventions: Any, seen: _Seen) -> list[tf.Tensor]:
    """What to add to each variable. Conditions, not selections: those would go over all coordinates in every step."""

    def unchanged() -> list[tf.Tensor]:
        return [tf.identity(part.update) for part in parts]

    def back() -> list[tf.Tensor]:
        ways = [tf.where(seen.first, tf.zeros_like(part.now), part.copy - part.now) for part in parts]
        return [tf.cast(way, part.update.dtype) for way, part in zip(ways, parts, strict=True)]

    def damped() -> list[tf.Tensor]:
        return [_scaled(part.update, DAMPING ** tf.convert_to_tensor(interventions)) for part in parts]

    def normalized() -> list[tf.Tensor]:
        count = sum(part.now.shape.num_elements() for part in parts)
        rate = NORMALIZED_RATE * DAMPING ** (interventions - DAMPED) * count**0.5 / tf.maximum(seen.norm, 1e-30)
        return [tf.cast(_scaled(part.gradient, -rate), part.update.dtype) for part in parts]

    return tf.cond(
        seen.diverged | (interventions > 0.0),
        lambda: tf.cond(seen.diverged, back, lambda: tf.cond(interventions < DAMPED, damped, normalized)),
        unchanged,
    )


def _renew(parts: Sequence[_Part]) -> bool:
    for part in parts:
        part.copy.assign(part.now)
    return True


def _dot(pairs: Sequence[tuple[Any, Any]]) -> tf.Tensor:
    """The inner product of all coordinates, in float32."""
    products = [tf.reduce_sum(tf.cast(a, tf.float32) * tf.cast(b, tf.float32)) for a, b in pairs]
    return tf.add_n([tf.zeros([]), *products])


def _scaled(tensor: Any, scale: tf.Tensor) -> tf.Tensor:
    return tf.cast(scale, tensor.dtype) * tensor
