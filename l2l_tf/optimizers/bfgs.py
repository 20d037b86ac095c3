"""BFGS and L-BFGS with a fixed step, the baselines of appendix D's optimizers.

Nocedal and Wright, *Numerical Optimization* (2006): equation 6.17 and algorithm 7.4. There is no line search: the
updates are g = −ηB∇, as a learned optimizer makes one update a gradient.
"""

from typing import ClassVar

import tensorflow as tf

from l2l_tf.checks import at_least, boolean, positive
from l2l_tf.optimizers.base import CoupledOptimizer, State
from l2l_tf.optimizers.hand_designed import Rate

CURVATURE = 1e-10  # a pair s, y with sᵀy below so many times |s||y| says nothing of the inverse Hessian


class QuasiNewton(CoupledOptimizer):
    """What both have in common.

    Args:
        learning_rate: η.
        initial_scale: B_0 is so many times the identity.
        rescale: whether the first pair makes B_0 = (sᵀy / yᵀy) I (equation 6.20); in L-BFGS every pair does (7.20).
    """

    every_pair: ClassVar[bool] = False

    def __init__(self, learning_rate: Rate, initial_scale: float = 1.0, rescale: bool = False):
        if not tf.is_tensor(learning_rate):
            positive("learning_rate", learning_rate)
        self.learning_rate = learning_rate
        self.initial_scale = positive("initial_scale", initial_scale)
        self.rescale = boolean("rescale", rescale)

    def start(self, coordinates: tf.Tensor) -> State:
        """Nothing known yet: no update, no gradient [B, n]; the scale of B_0 and the number of pairs [B, 1]."""
        zeros, one = tf.zeros_like(coordinates), tf.ones_like(coordinates[:, :1])
        return {"s": zeros, "gradient": zeros, "scale": self.initial_scale * one, "pairs": tf.zeros_like(one)}

    def pair(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, State]:
        """s, y [B, n], whether they are any use [B, 1], and the state with what follows from them."""
        s, y = state["s"], gradients - state["gradient"]
        curvature = dot(s, y)
        useful = curvature > CURVATURE * tf.norm(s, axis=1, keepdims=True) * tf.norm(y, axis=1, keepdims=True)
        first = useful & (self.every_pair | (state["pairs"] == 0))
        rescaled = tf.math.divide_no_nan(curvature, dot(y, y))
        scale = tf.where(first & self.rescale, rescaled, state["scale"])
        return s, y, useful, {"scale": scale, "pairs": state["pairs"] + tf.cast(useful, s.dtype)}

    def step(self, direction: tf.Tensor, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """g = −η B∇, and the state that remembers it."""
        g = -self.learning_rate * direction
        return g, state | {"s": g, "gradient": gradients}


class BFGS(QuasiNewton):
    """B ← (I − ρsyᵀ) B (I − ρysᵀ) + ρssᵀ with ρ = 1/yᵀs, s = θ_t − θ_{t−1}, y = ∇_t − ∇_{t−1}; g = −ηB∇ (6.17)."""

    def init(self, coordinates: tf.Tensor) -> State:
        """B_0, and nothing known yet."""
        problems, n = coordinates.shape
        identity = tf.eye(n, batch_shape=[problems], dtype=coordinates.dtype)
        return self.start(coordinates) | {"B": self.initial_scale * identity}

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """−ηB∇, with the new B."""
        s, y, useful, new_state = self.pair(gradients, state)
        rescaled = tf.where(state["pairs"] == 0, new_state["scale"] / self.initial_scale, 1.0)
        B = rescaled[:, :, tf.newaxis] * state["B"]
        rho = inverse(dot(s, y))
        By = tf.linalg.matvec(B, y)
        once = rho * (1.0 + rho * dot(y, By)) * s  # B + once sᵀ − ρ (s (By)ᵀ + (By) sᵀ) is 6.17, multiplied out
        B += outer(once, s) - outer(rho * s, By) - outer(rho * By, s)
        B = tf.where(useful[:, :, tf.newaxis], B, state["B"])
        return self.step(tf.linalg.matvec(B, gradients), gradients, new_state | {"B": B})


class LBFGS(QuasiNewton):
    """B∇ from the last K pairs s, y by the two-loop recursion (algorithm 7.4); g = −ηB∇.

    Args:
        history: K.
    """

    every_pair = True

    def __init__(self, learning_rate: Rate, initial_scale: float = 1.0, rescale: bool = False, history: int = 10):
        super().__init__(learning_rate, initial_scale, rescale)
        self.history = at_least("history", history, 1)

    def init(self, coordinates: tf.Tensor) -> State:
        """No pairs: S and Y [K, B, n] of zeros."""
        zeros = tf.zeros([self.history, *coordinates.shape], coordinates.dtype)
        return self.start(coordinates) | {"S": zeros, "Y": zeros}

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """−ηB∇, with the new pair."""
        s, y, useful, new_state = self.pair(gradients, state)
        for name, new in (("S", s), ("Y", y)):  # the newest first
            history = tf.concat([new[tf.newaxis], state[name][:-1]], axis=0)
            new_state[name] = tf.where(useful, history, state[name])
        pairs = list(zip(tf.unstack(new_state["S"]), tf.unstack(new_state["Y"]), strict=True))
        rhos = [inverse(dot(s, y)) for s, y in pairs]
        q, alphas = gradients, []
        for (s, y), rho in zip(pairs, rhos, strict=True):
            alphas.append(rho * dot(s, q))
            q -= alphas[-1] * y
        direction = new_state["scale"] * q
        for (s, y), rho, alpha in reversed(list(zip(pairs, rhos, alphas, strict=True))):
            direction += (alpha - rho * dot(y, direction)) * s
        return self.step(direction, gradients, new_state)


def dot(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """aᵀb of each problem, [B, 1]."""
    return tf.reduce_sum(a * b, axis=1, keepdims=True)


def outer(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """abᵀ of each problem, [B, n, n]."""
    return a[:, :, tf.newaxis] * b[:, tf.newaxis, :]


def inverse(values: tf.Tensor) -> tf.Tensor:
    """1 / values, 0 for 0."""
    return tf.math.divide_no_nan(tf.ones_like(values), values)
