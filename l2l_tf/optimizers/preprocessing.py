"""What the learned optimizer sees of a gradient (appendix A). Features come first: [n] to [features, n]."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import tensorflow as tf

from l2l_tf.checks import at_least, instance_of, positive
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


def identity_unless(given: Preprocessing | None) -> Preprocessing:
    """The preprocessing that an optimizer is given, or `Identity` if it is given none.

    Raises:
        InputError: it is given something else.
    """
    preprocessing = Identity() if given is None else given
    instance_of("preprocessing", preprocessing, Preprocessing)
    return preprocessing


class LogAndSign(Preprocessing):
    """Appendix A: (log|∇|/p, sign ∇) where |∇| ≥ e^{−p}, else (−1, e^p ∇).

    Both branches meet at |∇| = e^{−p}, so the two features are max(log|∇|/p, −1) and clip(e^p ∇, −1, 1).

    Args:
        p: how small gradients are before their logarithm gives way to their value; 10 in the paper, 5 in the
            released code.
        smoothing: added to |∇| within the logarithm: 0 in the paper, float32's epsilon 1.1920929e-7 in the released
            code.
        derivative_width: if above 0, the derivative by ∇ is that of the features averaged over a Gaussian around ∇, of
            this deviation relative to the root mean square of the gradients that are passed together. It matters where
            second derivatives are kept: features jump where ∇ changes its sign, so that their own derivative is either
            next to nothing or huge, and through many steps it explodes. The features themselves stay as they are.
            What is passed together is a block of coordinates, so that a training with second derivatives depends a
            little on the optimizer's `block_size`.
    """

    features = 2

    def __init__(self, p: float = 10.0, smoothing: float = 0.0, derivative_width: float = 0.0):
        self.p = positive("preprocessing.p", p)
        if p > 80:
            raise InputError(f"preprocessing.p={p}: must be at most 80, beyond which e^p leaves float32")
        self.smoothing = at_least("preprocessing.smoothing", smoothing, 0.0)
        self.derivative_width = at_least("preprocessing.derivative_width", derivative_width, 0.0)

    def __call__(self, gradients: tf.Tensor) -> tf.Tensor:
        """Gradients [n] to [2, n], finite for every finite input."""
        return self._with_smooth_derivative(gradients) if self.derivative_width else self._features(gradients)

    def _with_smooth_derivative(self, gradients: tf.Tensor) -> tf.Tensor:
        @tf.custom_gradient
        def features(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
            def derivative(cotangents: tf.Tensor) -> tf.Tensor:
                tiny = tf.exp(tf.constant(-self.p, x.dtype))  # the features' own scale: nothing is narrower
                width = self.derivative_width * tf.sqrt(tf.reduce_mean(x**2)) + tiny
                of_logarithm = x / (x**2 + width**2) / self.p
                of_sign = math.sqrt(2 / math.pi) / width * tf.exp(-0.5 * (x / width) ** 2)
                return cotangents[0] * of_logarithm + cotangents[1] * of_sign

            return self._features(x), derivative

        return features(gradients)

    def _features(self, gradients: tf.Tensor) -> tf.Tensor:
        p = tf.constant(self.p, gradients.dtype)
        magnitude = tf.maximum(tf.abs(gradients) + self.smoothing, tf.exp(-p))  # log(0) has no derivative
        logarithm = tf.maximum(tf.math.log(magnitude) / p, -1.0)
        sign = tf.clip_by_value(tf.exp(p) * gradients, -1.0, 1.0)
        return tf.stack([logarithm, sign])
