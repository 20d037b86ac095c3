"""Figure 10: updates for swept gradients with the state held fixed."""

import numpy as np
import pandas as pd
import pytest

from l2l_tf.evaluation.updates import update_curves
from l2l_tf.optimizees import Quadratic
from l2l_tf.optimizers import SGD, Adam, CoordinatewiseLSTM, CoordinatewiseOptimizer


def curves(optimizer: CoordinatewiseOptimizer, **options: int) -> pd.DataFrame:
    return update_curves(Quadratic(dimension=3, functions=2), optimizer, [0, 4], [1, 3], points=5, **options)


def test_sgd_proposes_the_same_line_everywhere() -> None:
    frame = curves(SGD(0.1))
    assert len(frame) == 2 * 2 * 5
    np.testing.assert_allclose(frame["update"], -0.1 * frame["gradient"], rtol=1e-5)


def test_adam_remembers_so_its_line_does_not_pass_through_zero() -> None:
    frame = curves(Adam(0.1))
    at_zero = frame[(frame["gradient"].abs() < 1e-12) & (frame["step"] == 3)]
    assert (at_zero["update"].abs() > 1e-4).all()


@pytest.mark.parametrize("block_size", [2, 100])
def test_blocks_do_not_matter(block_size: int) -> None:
    whole = curves(CoordinatewiseLSTM(layers=[4], block_size=1000))
    cut = curves(CoordinatewiseLSTM(layers=[4], block_size=block_size))
    np.testing.assert_allclose(cut["update"], whole["update"], rtol=1e-4, atol=1e-7)
