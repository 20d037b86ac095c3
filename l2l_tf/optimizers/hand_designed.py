"""The paper's baselines, with the constants of Torch7's `optim` as their defaults.

`learning_rate` may be a `tf.Variable`, so that a sweep over rates traces its graph only once, or a vector [n]: one rate
for each coordinate. A constant out of its range raises `InputError`: rates must be above 0, decays of running means in
[0, 1), epsilons at least 0.
"""

from typing import TypeAlias

import tensorflow as tf

from l2l_tf.checks import at_least, below_one, positive
from l2l_tf.optimizers.base import CoordinatewiseOptimizer, State

Rate: TypeAlias = float | tf.Variable | tf.Tensor


class HandDesigned(CoordinatewiseOptimizer):
    """What the baselines have in common: a learning rate."""

    def __init__(self, learning_rate: Rate):
        if not tf.is_tensor(learning_rate):
            positive("learning_rate", learning_rate)
        self.learning_rate = learning_rate


class SGD(HandDesigned):
    """g = −η∇ (Torch7 `optim.sgd`)."""

    def init(self, coordinates: tf.Tensor) -> State:
        """No state."""
        del coordinates
        return ()

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """−η∇."""
        return -self.learning_rate * gradients, state


class Momentum(HandDesigned):
    """v ← μv + (1 − d)∇, with v = ∇ at the first step; g = −ηv (Torch7 `optim.sgd` with momentum).

    Args:
        momentum: μ; dampening: d, equal to μ unless given, as in Torch7. 0 is the classical heavy ball.
    """

    def __init__(self, learning_rate: Rate, momentum: float = 0.9, dampening: float | None = None):
        super().__init__(learning_rate)
        self.momentum = below_one("momentum", momentum)
        self.dampening = below_one("dampening", momentum if dampening is None else dampening)

    def init(self, coordinates: tf.Tensor) -> State:
        """v = 0, and whether this is the first step."""
        return {"velocity": tf.zeros_like(coordinates), "first": tf.constant(True)}

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """−ηv."""
        dampening = tf.where(state["first"], 0.0, tf.cast(self.dampening, gradients.dtype))
        velocity = self.momentum * state["velocity"] + (1.0 - dampening) * gradients
        return -self.learning_rate * velocity, {"velocity": velocity, "first": tf.constant(False)}


class NAG(HandDesigned):
    """Nesterov's accelerated gradient: v ← μv − η∇ with ∇ taken at the look-ahead point θ + μv (Torch7 `optim.nag`).

    What is kept as θ here is that look-ahead point, where Torch7 too evaluates f; it moves by g = μv − η∇.
    """

    def __init__(self, learning_rate: Rate, momentum: float = 0.9):
        super().__init__(learning_rate)
        self.momentum = below_one("momentum", momentum)

    def init(self, coordinates: tf.Tensor) -> State:
        """v = 0."""
        return tf.zeros_like(coordinates)

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """μv − η∇, with the new v."""
        velocity = self.momentum * state - self.learning_rate * gradients
        return self.momentum * velocity - self.learning_rate * gradients, velocity


class RMSprop(HandDesigned):
    """m ← αm + (1 − α)∇²; v ← μv + η∇ / (√m + ε); g = −v (Torch7 `optim.rmsprop`, which has no momentum: μ = 0).

    Args:
        alpha: α; momentum: μ, as in TensorFlow 1's RMSProp; epsilon: ε.
    """

    def __init__(self, learning_rate: Rate, alpha: float = 0.99, epsilon: float = 1e-8, momentum: float = 0.0):
        super().__init__(learning_rate)
        self.alpha = below_one("alpha", alpha)
        self.epsilon = at_least("epsilon", epsilon, 0.0)
        self.momentum = below_one("momentum", momentum)

    def init(self, coordinates: tf.Tensor) -> State:
        """m = v = 0."""
        zeros = tf.zeros_like(coordinates)
        return {"mean_square": zeros, "velocity": zeros}

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """−v."""
        mean_square = self.alpha * state["mean_square"] + (1.0 - self.alpha) * gradients**2
        step = self.learning_rate * gradients / (tf.sqrt(mean_square) + self.epsilon)
        velocity = self.momentum * state["velocity"] + step
        return -velocity, {"mean_square": mean_square, "velocity": velocity}


class CentredRMSprop(HandDesigned):
    """n ← αn + (1 − α)∇²; m ← αm + (1 − α)∇; v ← μv + η∇ / √(n − m² + ε); g = −v (Graves, 2013, equations 38 to 41).

    Args:
        alpha: α; momentum: μ; epsilon: ε, within the root.
    """

    def __init__(self, learning_rate: Rate, alpha: float = 0.95, momentum: float = 0.9, epsilon: float = 1e-4):
        super().__init__(learning_rate)
        self.alpha = below_one("alpha", alpha)
        self.momentum = below_one("momentum", momentum)
        self.epsilon = at_least("epsilon", epsilon, 0.0)

    def init(self, coordinates: tf.Tensor) -> State:
        """n = m = v = 0."""
        zeros = tf.zeros_like(coordinates)
        return {"mean_square": zeros, "mean": zeros, "velocity": zeros}

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """−v."""
        mean_square = self.alpha * state["mean_square"] + (1.0 - self.alpha) * gradients**2
        mean = self.alpha * state["mean"] + (1.0 - self.alpha) * gradients
        step = self.learning_rate * gradients / tf.sqrt(mean_square - mean**2 + self.epsilon)
        velocity = self.momentum * state["velocity"] + step
        return -velocity, {"mean_square": mean_square, "mean": mean, "velocity": velocity}


class Adam(HandDesigned):
    """ADAM (Torch7 `optim.adam`): g = −η √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m / (√v + ε)."""

    def __init__(self, learning_rate: Rate, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8):
        super().__init__(learning_rate)
        self.beta_1 = below_one("beta_1", beta_1)
        self.beta_2 = below_one("beta_2", beta_2)
        self.epsilon = at_least("epsilon", epsilon, 0.0)

    def init(self, coordinates: tf.Tensor) -> State:
        """m = v = 0, t = 0."""
        zeros = tf.zeros_like(coordinates)
        return {"m": zeros, "v": zeros, "t": tf.zeros([], coordinates.dtype)}

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """The bias-corrected step."""
        t = state["t"] + 1.0
        m = self.beta_1 * state["m"] + (1.0 - self.beta_1) * gradients
        v = self.beta_2 * state["v"] + (1.0 - self.beta_2) * gradients**2
        rate = self.learning_rate * tf.sqrt(1.0 - self.beta_2**t) / (1.0 - self.beta_1**t)
        return -rate * m / (tf.sqrt(v) + self.epsilon), {"m": m, "v": v, "t": t}


class AdamW(Adam):
    """ADAM with decoupled weight decay (Loshchilov and Hutter 2019): g = ADAM's − η λ θ.

    The state holds θ too, which is the sum of θ_0 and all updates.

    Args:
        weight_decay: λ; 0.004 is Keras's default.
    """

    def __init__(
        self,
        learning_rate: Rate,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon)
        self.weight_decay = at_least("weight_decay", weight_decay, 0.0)

    def init(self, coordinates: tf.Tensor) -> State:
        """ADAM's, and θ_0."""
        return {"adam": super().init(coordinates), "theta": tf.identity(coordinates)}

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """ADAM's step less η λ θ."""
        step, adam = super().update(gradients, state["adam"])
        step -= self.learning_rate * self.weight_decay * state["theta"]
        return step, {"adam": adam, "theta": state["theta"] + step}


class AdaGrad(HandDesigned):
    """s ← s + ∇²; g = −η∇ / (√s + ε) (Torch7 `optim.adagrad`)."""

    def __init__(self, learning_rate: Rate, epsilon: float = 1e-10):
        super().__init__(learning_rate)
        self.epsilon = at_least("epsilon", epsilon, 0.0)

    def init(self, coordinates: tf.Tensor) -> State:
        """s = 0."""
        return tf.zeros_like(coordinates)

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """−η∇ / (√s + ε)."""
        sum_of_squares = state + gradients**2
        return -self.learning_rate * gradients / (tf.sqrt(sum_of_squares) + self.epsilon), sum_of_squares
