"""tanh and the logistic function, as fast as XLA can have them.

XLA's own take longer than a rational function, which is what TensorFlow's kernel (Eigen's) uses. Here is Eigen's for
XLA, good to float32's rounding; anywhere else, and in float64, TensorFlow's own are used.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from l2l_tf.xla import compiling

# Eigen's approximation on [-7.9053, 7.9053], beyond which tanh is ±1 in float32: x · numerator(x²) / denominator(x²).
LIMIT = 7.90531110763549805
NUMERATOR = (
    4.89352455891786e-03,
    6.37261928875436e-04,
    1.48572235717979e-05,
    5.12229709037114e-08,
    -8.60467152213735e-11,
    2.00018790482477e-13,
    -2.76076847742355e-16,
)
DENOMINATOR = (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06)


def tanh(x: tf.Tensor) -> tf.Tensor:
    """The hyperbolic tangent."""
    return _rational_tanh(x) if compiling() and x.dtype == tf.float32 else tf.tanh(x)


def sigmoid(x: tf.Tensor) -> tf.Tensor:
    """The logistic function σ(x) = 1 / (1 + e^-x) = (1 + tanh(x/2)) / 2."""
    return 0.5 + 0.5 * _rational_tanh(0.5 * x) if compiling() and x.dtype == tf.float32 else tf.sigmoid(x)


@tf.custom_gradient
def _rational_tanh(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    x = tf.clip_by_value(x, -LIMIT, LIMIT)
    square = x * x
    y = x * _polynomial(NUMERATOR, square) / _polynomial(DENOMINATOR, square)
    return y, lambda cotangent: cotangent * (1.0 - y * y)


def _polynomial(coefficients: Sequence[float], x: tf.Tensor) -> tf.Tensor:
    """Σ_k coefficients[k] x^k, by Horner's rule."""
    *rest, value = coefficients
    for coefficient in reversed(rest):
        value = value * x + coefficient
    return value
