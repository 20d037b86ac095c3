"""f(x) = x², for tests and first steps (the released code's `simple` and `simple-multi`)."""

from typing import Any

import tensorflow as tf

from l2l_tf.checks import at_least, is_number, shown
from l2l_tf.errors import InputError
from l2l_tf.optimizees.base import Optimizee, Parameters

MOST_VARIABLES = 1000  # each is a tensor of its own


class Simple(Optimizee):
    """f(x) = Σ_i x_i², each x_i a parameter of its own: `x_0`, `x_1`, ...

    Args:
        variables: how many x_i; 1 is the released code's `simple`, 2 its `simple-multi`.
        initial_value: of every x_i, 1 in the released code.
    """

    def __init__(self, variables: int = 1, initial_value: float = 1.0):
        self.variables = at_least("variables", variables, 1, MOST_VARIABLES)
        if not is_number(initial_value):
            raise InputError(f"initial_value={shown(initial_value)}: must be a finite number")
        self.initial_value = initial_value

    def init(self, seed: tf.Tensor) -> Parameters:
        """Every x_i, a scalar, at its initial value whatever the seed."""
        del seed
        return {f"x_{i}": tf.constant(self.initial_value, tf.float32) for i in range(self.variables)}

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        """Σ_i x_i²."""
        del problem, seed
        return tf.add_n([x**2 for x in params.values()])
