"""Appendix A's preprocessing: against its two-branch definition, at its boundary, and at the ends of float32."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from l2l_tf.errors import InputError
from l2l_tf.optimizers import Identity, LogAndSign

LARGEST = float(np.finfo(np.float32).max)
SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)
SMALLEST_DENORMAL = float(np.finfo(np.float32).smallest_subnormal)
RELEASED_EPSILON = 1.1920929e-7

every_float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
usual_p = st.floats(min_value=0.5, max_value=80.0)


def preprocess(value: float, p: float = 10.0, smoothing: float = 0.0) -> tuple[float, float]:
    features = LogAndSign(p, smoothing)(tf.constant([value], tf.float32)).numpy()
    assert features.shape == (2, 1)
    return float(features[0, 0]), float(features[1, 0])


def paper(value: float, p: float) -> tuple[float, float]:
    """Appendix A, word for word."""
    if abs(value) >= math.exp(-p):
        return math.log(abs(value)) / p, math.copysign(1.0, value)
    return -1.0, math.exp(p) * value


@given(every_float32, usual_p)
def test_it_is_the_papers_two_branch_definition(value: float, p: float) -> None:
    denormal = abs(value) < SMALLEST_NORMAL  # which TensorFlow may take for 0
    np.testing.assert_allclose(preprocess(value, p), paper(0.0 if denormal else value, p), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("p", [1.0, 5.0, 10.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_branches_meet_at_the_boundary(p: float, sign: float) -> None:
    boundary = float(np.float32(math.exp(-p)))
    at_boundary = preprocess(sign * boundary, p)
    below = preprocess(sign * float(np.nextafter(np.float32(boundary), np.float32(0))), p)
    above = preprocess(sign * float(np.nextafter(np.float32(boundary), np.float32(1))), p)
    for features in (below, at_boundary, above):
        np.testing.assert_allclose(features, (-1.0, sign), rtol=1e-5)
    assert below[0] <= at_boundary[0] <= above[0]
    np.testing.assert_allclose(preprocess(0.5 * sign * boundary, p), (-1.0, 0.5 * sign), rtol=1e-5)
    np.testing.assert_allclose(preprocess(2 * sign * boundary, p), (-1.0 + math.log(2) / p, sign), rtol=1e-5)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, (-1.0, 0.0)),
        (1.0, (0.0, 1.0)),
        (1e30, (30 * np.log(10) / 10, 1.0)),
        (-1e30, (30 * np.log(10) / 10, -1.0)),
        (1e-30, (-1.0, np.exp(10) * 1e-30)),
        (-1e-30, (-1.0, -np.exp(10) * 1e-30)),
        (LARGEST, (np.log(LARGEST) / 10, 1.0)),
        (-LARGEST, (np.log(LARGEST) / 10, -1.0)),
        (SMALLEST_NORMAL, (-1.0, np.exp(10) * SMALLEST_NORMAL)),
        (SMALLEST_DENORMAL, (-1.0, 0.0)),
        (-SMALLEST_DENORMAL, (-1.0, 0.0)),
    ],
)
def test_the_extremes(value: float, expected: tuple[float, float]) -> None:
    np.testing.assert_allclose(preprocess(value), expected, rtol=1e-5, atol=1e-40)


@given(every_float32, usual_p, st.sampled_from([0.0, RELEASED_EPSILON, 1.0]))
def test_every_finite_gradient_has_finite_features_within_their_range(value: float, p: float, smoothing: float) -> None:
    logarithm, sign = preprocess(value, p, smoothing)
    assert np.isfinite(logarithm)
    assert logarithm >= -1.0
    assert -1.0 <= sign <= 1.0


@given(every_float32, usual_p)
def test_the_logarithm_is_even_and_the_sign_odd(value: float, p: float) -> None:
    logarithm, sign = preprocess(value, p)
    assert preprocess(-value, p) == (logarithm, -sign)


@given(every_float32, every_float32, usual_p)
def test_larger_gradients_never_get_smaller_features(one: float, other: float, p: float) -> None:
    small, large = sorted((one, other))
    assert preprocess(small, p)[1] <= preprocess(large, p)[1]
    small, large = sorted((abs(one), abs(other)))
    # The logarithm is computed to a unit in its last place.
    assert preprocess(small, p)[0] <= preprocess(large, p)[0] + 1e-6 * (1.0 + 100.0 / p)


@given(every_float32)
def test_the_smoothed_form_is_the_released_codes(value: float) -> None:
    gradient = np.float32(value)
    logarithm = np.log(np.abs(gradient) + np.finfo(np.float32).eps) / 5.0
    clamped = max(logarithm, -1.0)
    with np.errstate(over="ignore"):
        sign = np.clip(gradient * np.float32(np.exp(5.0)), -1.0, 1.0)
    np.testing.assert_allclose(preprocess(value, 5.0, RELEASED_EPSILON), (clamped, sign), rtol=1e-4, atol=1e-5)


def test_the_derivative_is_finite_everywhere() -> None:
    values = tf.constant([0.0, 1e-30, -1e-30, np.exp(-10.0), 1.0, 1e30, -1e30, LARGEST, SMALLEST_DENORMAL], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(values)
        features = LogAndSign()(values)
    assert np.isfinite(tape.gradient(features, values)).all()


def test_features_come_first_and_coordinates_stay_in_order() -> None:
    gradients = tf.constant([1.0, -np.e, 0.0])
    np.testing.assert_allclose(LogAndSign(p=2.0)(gradients), [[0.0, 0.5, -1.0], [1.0, -1.0, 0.0]], atol=1e-6)
    np.testing.assert_array_equal(Identity()(gradients), [gradients.numpy()])
    assert (LogAndSign.features, Identity.features) == (2, 1)


@pytest.mark.parametrize("p", [0.0, -1.0, 81.0, float("nan"), float("inf")])
def test_a_p_out_of_range_is_refused(p: float) -> None:
    with pytest.raises(InputError, match=r"preprocessing\.p="):
        LogAndSign(p=p)


def test_a_negative_smoothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"preprocessing\.smoothing=-1\.0"):
        LogAndSign(smoothing=-1.0)


@given(st.floats(-3.0, 3.0), st.floats(0.05, 1.0))
def test_the_smooth_derivative_is_that_of_the_features_averaged_over_a_gaussian(value: float, width: float) -> None:
    """Of the sign exactly; of the logarithm a like curve: the same far from zero, zero at zero, never steeper."""
    x = tf.constant([value, -value], tf.float64)  # root mean square |value|
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        features = LogAndSign(derivative_width=width)(x)
        logarithm, sign = features[0], features[1]
    np.testing.assert_array_equal(features, LogAndSign()(x))
    deviation = width * abs(value) + math.exp(-10)
    nodes = value + deviation * np.linspace(-8.0, 8.0, 20001)
    density = np.exp(-0.5 * ((nodes - value) / deviation) ** 2)
    score = (nodes - value) / deviation**2  # d density / d value over the density
    averaged = (np.sign(nodes) * score * density).sum() / density.sum()
    assert float(tape.gradient(sign, x)[0]) == pytest.approx(averaged, rel=0.01, abs=1e-3 / deviation)
    slope = float(tape.gradient(logarithm, x)[0])
    assert slope * 10 == pytest.approx(value / (value**2 + deviation**2))


def test_a_negative_derivative_width_is_refused() -> None:
    with pytest.raises(InputError, match=r"preprocessing\.derivative_width=-1\.0"):
        LogAndSign(derivative_width=-1.0)
