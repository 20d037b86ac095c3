"""A guard against divergence, for trained optimizers on models that they were not trained on.

It sees what an optimizer sees, gradients and no loss. Two things together tell that a model diverges: the gradient's
norm has grown, and the gradient points away from where the model was before, so that the way from there led uphill.
Growth alone is common: where a model leaves a plateau gradients grow, too, but downhill.
"""

import warnings
from collections.abc import Sequence
from typing import Any

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
        interventions, usual, norms, slopes, steps = state[:SCALARS]
        each = zip(gradients, updates, variables, state[SCALARS:], strict=True)
        parts = [
            (gradient, update, tf.convert_to_tensor(variable), copy)
            for gradient, update, variable, copy in each
            if gradient is not None and update is not None
        ]
        first = usual <= 0.0  # there are no copies yet

        norm = tf.sqrt(_dot([(gradient, gradient) for gradient, *_ in parts]))
        slope = tf.where(first, 0.0, _dot([(gradient, now - copy) for gradient, _, now, copy in parts]))
        proposed = _dot([(update, update) for _, update, *_ in parts])
        reference = tf.where(first, norm, usual)
        sum_of_norms, sum_of_slopes = norms + norm, slopes + slope
        full, uphill = steps + 1.0 >= WINDOW, sum_of_slopes > 0.0
        jumped = (slope > 0.0) & (norm > JUMP * reference)
        grown = full & uphill & (sum_of_norms > GROWTH * WINDOW * reference)
        diverged = jumped | grown | ~tf.math.is_finite(norm + proposed)
        renewed = full & ~uphill & ~diverged

        damping = DAMPING ** tf.convert_to_tensor(interventions)
        count = sum(now.shape.num_elements() for _, _, now, _ in parts)
        rate = NORMALIZED_RATE * DAMPING ** (interventions - DAMPED) * count**0.5 / tf.maximum(norm, 1e-30)

        def back() -> list[tf.Tensor]:
            return [
                tf.cast(tf.where(first, tf.zeros_like(now), copy - now), update.dtype) for _, update, now, copy in parts
            ]

        def damped() -> list[tf.Tensor]:
            return [_scaled(update, damping) for _, update, *_ in parts]

        def normalized() -> list[tf.Tensor]:
            return [tf.cast(_scaled(gradient, -rate), update.dtype) for gradient, update, *_ in parts]

        def unchanged() -> list[tf.Tensor]:
            return [tf.identity(update) for _, update, *_ in parts]

        def renew() -> bool:
            for _, _, now, copy in parts:
                copy.assign(now)
            return True

        # Conditions, not selections, which would go over all coordinates many times in every step.
        made = tf.cond(
            diverged | (interventions > 0.0),
            lambda: tf.cond(diverged, back, lambda: tf.cond(interventions < DAMPED, damped, normalized)),
            unchanged,
        )
        in_turn = iter(made)
        additions = [None if g is None or u is None else next(in_turn) for g, u in zip(gradients, updates, strict=True)]
        tf.cond(renewed | first, renew, lambda: False)

        usual.assign(tf.where(renewed, sum_of_norms / WINDOW, reference))
        ended = full | diverged
        for sum_, value in ((norms, sum_of_norms), (slopes, sum_of_slopes), (steps, steps + 1.0)):
            sum_.assign(tf.where(ended, 0.0, value))
        interventions.assign_add(tf.cast(diverged, tf.float32))
        return additions, diverged

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


def _dot(pairs: Sequence[tuple[Any, Any]]) -> tf.Tensor:
    """The inner product of all coordinates, in float32."""
    products = [tf.reduce_sum(tf.cast(a, tf.float32) * tf.cast(b, tf.float32)) for a, b in pairs]
    return tf.add_n([tf.zeros([]), *products])


def _scaled(tensor: Any, scale: tf.Tensor) -> tf.Tensor:
    return tf.cast(scale, tensor.dtype) * tensor
