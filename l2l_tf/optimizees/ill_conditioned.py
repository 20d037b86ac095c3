"""Quadratics of a given condition number, on which coordinatewise optimizers are at a loss."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from l2l_tf.checks import at_least, is_number, shown
from l2l_tf.errors import InputError
from l2l_tf.optimizees.base import Optimizee, Parameters


class IllConditioned(Optimizee):
    """f(θ) = ‖W(θ − θ*)‖² with WᵀW of condition number κ, in a random basis; θ* IID standard Gaussian.

    Not in the paper. WᵀW has eigenvalues from 1/κ to 1, evenly spaced by their logarithm, and a uniformly random
    orthogonal basis; so the gradient mixes all coordinates.

    Args:
        dimension: d, at least 2.
        condition: [least, most] κ, at least 1; that of a problem is drawn log-uniformly from between.
        initial_deviation: standard deviation of θ_0's IID Gaussian entries.
    """

    def __init__(self, dimension: int = 10, condition: Sequence[float] = (10.0, 1e4), initial_deviation: float = 0.01):
        self.dimension = at_least("dimension", dimension, 2, 2**12)
        valid = isinstance(condition, Sequence) and len(condition) == 2 and all(is_number(end) for end in condition)
        if not valid or not 1.0 <= condition[0] <= condition[1]:
            raise InputError(f"condition={shown(condition)}: must be [least, most], numbers of at least 1")
        self.condition = float(condition[0]), float(condition[1])
        self.initial_deviation = at_least("initial_deviation", initial_deviation, 0.0)

    def init(self, seed: tf.Tensor) -> Parameters:
        """θ_0 as {"x": [d]}."""
        return {"x": self.initial_deviation * tf.random.stateless_normal([self.dimension], seed)}

    def problem(self, seed: tf.Tensor) -> Any:
        """W [d, d] and θ* [d]."""
        d = self.dimension
        draws = tf.random.stateless_normal([d, d + 1], seed)
        low, high = (math.log(end) for end in self.condition)
        log_condition = tf.random.stateless_uniform([], seed + tf.constant([0, 1]), low, high)
        basis, triangle = tf.linalg.qr(draws[:, :d])
        basis *= tf.sign(tf.linalg.diag_part(triangle))  # uniform only with a positive diagonal
        scales = tf.exp(-0.5 * log_condition * tf.linspace(0.0, 1.0, d))  # of WᵀW the square
        return {"W": scales[:, tf.newaxis] * tf.transpose(basis), "minimum": draws[:, d]}

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        """‖W(θ − θ*)‖²; there is no minibatch, so the seed is not used."""
        del seed
        return tf.reduce_sum(tf.linalg.matvec(problem["W"], params["x"] - problem["minimum"]) ** 2)
