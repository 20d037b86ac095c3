"""What the learned optimizer sees of a gradient (appendix A). Features come first: [n] to [features, n]."""

from abc import ABC, abstractmethod

import tensorflow as tf

from l2l_tf.checks import at_least, positive
from l2l_tf.errors import InputError


class Preprocessing(ABC):
    """A map from gradient coordinates to the optimizer's input features.

    Attributes:
        features: how many features a coordinate gets.
    """

    features: int

    @abstractmethod
    def __call__(self, gradients: tf.Tensor) -> tf.Tensor:
        """Gradients [n] to [features, n]."""


class Identity(Preprocessing):
    """The gradient itself."""

    features = 1

    def __call__(self, gradients: tf.Tensor) -> tf.Tensor:
        """Gradients [n] to [1, n]."""
        return gradients[tf.newaxis]


class LogAndSign(Preprocessing):
    """Appendix A: (log|∇|/p, sign ∇) where |∇| ≥ e^{−p}, else (−1, e^p ∇).

    Both branches meet at |∇| = e^{−p}, so the two features are max(log|∇|/p, −1) and clip(e^p ∇, −1, 1).

    Args:
        p: how small gradients are before their logarithm gives way to their value; 10 in the paper, 5 in the
            released code.
        smoothing: added to |∇| within the logarithm: 0 in the paper, float32's epsilon 1.1920929e-7 in the released
            code.
    """

    features = 2

    def __init__(self, p: float = 10.0, smoothing: float = 0.0):
        self.p = positive("preprocessing.p", p)
        if p > 80:
            raise InputError(f"preprocessing.p={p}: must be at most 80, beyond which e^p leaves float32")
        self.smoothing = at_least("preprocessing.smoothing", smoothing, 0.0)

    def __call__(self, gradients: tf.Tensor) -> tf.Tensor:
        """Gradients [n] to [2, n], finite for every finite input."""
        p = tf.constant(self.p, gradients.dtype)
        magnitude = tf.maximum(tf.abs(gradients) + self.smoothing, tf.exp(-p))  # log(0) has no derivative
        logarithm = tf.maximum(tf.math.log(magnitude) / p, -1.0)
        sign = tf.clip_by_value(tf.exp(p) * gradients, -1.0, 1.0)
        return tf.stack([logarithm, sign])
