"""The paper's quadratics, f(θ) = ‖Wθ − y‖² (section 3.1)."""

from typing import Any, Literal

import tensorflow as tf

from l2l_tf.checks import at_least, one_of
from l2l_tf.errors import InputError
from l2l_tf.optimizees.base import Optimizee, Parameters

MOST_ENTRIES = 10**8  # of W, in each problem


class Quadratic(Optimizee):
    """f(θ) = the mean of ‖Wθ − y‖² over a batch of functions, W [d, d] and y [d] of each drawn anew for every problem.

    Args:
        dimension: d, 10 in the paper.
        functions: in the batch, each with its own coordinates of θ; 128 in the released code. Being a mean, f gives
            each function a gradient that is `functions` times smaller than its own.
        initial_deviation: standard deviation of θ_0's IID Gaussian entries.
        distribution: of the entries of W and y: "gaussian" as in the paper, or "uniform" on [0, 1) as in the
            released code.
    """

    def __init__(
        self,
        dimension: int = 10,
        functions: int = 1,
        initial_deviation: float = 1.0,
        distribution: Literal["gaussian", "uniform"] = "gaussian",
    ):
        self.dimension = at_least("dimension", dimension, 1)
        self.functions = at_least("functions", functions, 1)
        self.initial_deviation = at_least("initial_deviation", initial_deviation, 0.0)
        if functions * dimension**2 > MOST_ENTRIES:
            raise InputError(
                f"dimension={dimension}: with functions={functions} W has "
                f"{functions * dimension**2:.3g} entries, must have at most {MOST_ENTRIES:.3g}"
            )
        one_of("distribution", distribution, ("gaussian", "uniform"))
        self.draw = tf.random.stateless_normal if distribution == "gaussian" else tf.random.stateless_uniform

    def init(self, seed: tf.Tensor) -> Parameters:
        """θ_0 as {"x": [functions, d]}."""
        return {"x": self.initial_deviation * tf.random.stateless_normal([self.functions, self.dimension], seed)}

    def problem(self, seed: tf.Tensor) -> Any:
        """W [functions, d, d] and y [functions, d]."""
        d = self.dimension
        entries = self.draw([self.functions, d, d + 1], seed)
        return {"W": entries[:, :, :d], "y": entries[:, :, d]}

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        """The mean of ‖Wθ − y‖²; there is no minibatch, so the seed is not used."""
        del seed
        residual = tf.linalg.matvec(problem["W"], params["x"]) - problem["y"]
        return tf.reduce_mean(tf.reduce_sum(residual**2, axis=-1))
