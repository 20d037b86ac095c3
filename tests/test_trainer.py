"""What a meta-update does with the side-by-side optimizations' meta-gradients."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.meta import Schedule, Validation
from l2l_tf.meta.base import Unroll
from l2l_tf.meta.trainer import Running, Trainer
from l2l_tf.optimizees import Simple
from l2l_tf.optimizers import CoordinatewiseLSTM

Gradient = tuple[list[list[float]], list[list[float]]]  # by w_output and by b_output, [1, 1] each


def first_moments(folder: Path, clip_norm: float | None, gradients: list[Gradient]) -> np.ndarray:
    """ADAM's first moments after one meta-update, over 1 − β₁: what it took for the two variables' gradients."""
    schedule = Schedule(steps=4, unroll=2, clip_norm=clip_norm, optimizations=len(gradients))
    trainer = Trainer(Simple(), Simple(), CoordinatewiseLSTM(layers=()), schedule, 0, folder, "fingerprint")
    assert [variable.shape for variable in trainer.variables] == [[1, 1], [1, 1]]
    trainer._meta_update([tuple(tf.constant(part) for part in gradient) for gradient in gradients])
    return np.array([moment.numpy().item() / 0.1 for moment in trainer.adam.m])


def test_one_optimizations_huge_meta_gradient_leaves_the_others_their_say(tmp_path: Path) -> None:
    gradients: list[Gradient] = [([[1e6]], [[0.0]]), ([[0.0]], [[0.5]])]
    found = first_moments(tmp_path, 1.0, gradients)
    np.testing.assert_allclose(sorted(found), [0.25, 0.5], rtol=1e-5)  # the mean of (1, 0) and (0, 0.5)


def test_without_clipping_the_meta_update_follows_the_mean(tmp_path: Path) -> None:
    gradients: list[Gradient] = [([[4.0]], [[0.0]]), ([[2.0]], [[1.0]])]
    assert sorted(first_moments(tmp_path, None, gradients)) == pytest.approx([0.5, 3.0])


def test_optimizations_that_take_turns_advance_one_after_the_other(tmp_path: Path) -> None:
    class Recorded(Trainer):
        def _next_unroll(self, one: Running, number: int) -> Unroll:
            seen.append((one.optimization.keys.numpy().tolist(), one.step))
            return super()._next_unroll(one, number)

    seen: list[tuple[list[list[int]], int]] = []
    schedule = Schedule(steps=4, unroll=2, epochs=3, optimizations=2, at_once=1, validation=Validation(every=3))
    checkpoint = Recorded(Simple(), Simple(), CoordinatewiseLSTM(layers=()), schedule, 0, tmp_path).train()
    assert checkpoint.update == len(seen) == 6  # one unroll a meta-update
    problems = [keys for keys, _ in seen]
    assert [problems.index(problem) for problem in problems] == [0, 1, 0, 3, 4, 3]
    assert [step for _, step in seen] == [0, 2, 2, 0, 0, 2]  # the second begins halfway, so it is over first
