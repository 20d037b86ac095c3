"""From one integer seed to every random number of a run.

A problem is named by (seed, stream, index): its initial parameters, its data and its minibatch order are functions of
that name alone. Runs are therefore paired (same name, same problem, whichever optimizer), repeatable, and resumable.
"""

import zlib
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from l2l_tf.checks import INT64, at_least

INIT, PROBLEM, MINIBATCH, NUMBER = range(4)  # columns of `problem_keys`


def generator(seed: int, stream: str, index: int = 0) -> np.random.Generator:
    """NumPy generator of the independent stream that (seed, stream, index) names."""
    return np.random.default_rng(
        np.random.SeedSequence([int(at_least("seed", seed, 0, INT64)), zlib.crc32(stream.encode()), index])
    )


def weight_seeds(seed: int, count: int) -> tf.Tensor:
    """Seeds for the initial weights of an optimizer's layers, int32 [count, 2]."""
    return tf.constant(generator(seed, "optimizer").integers(2**31, size=[count, 2]), tf.int32)


def problem_keys(seed: int, stream: str, indices: Iterable[int]) -> tf.Tensor:
    """Keys of the problems with these indices in a stream ("train", "validation", "test").

    Returns:
        int32 [B, 4]: for each problem a key for its initial parameters, its data and its minibatches; and its index.
    """
    info = np.iinfo(np.int32)
    keys = [[*generator(seed, stream, i).integers(info.min, info.max, size=3, endpoint=True), i] for i in indices]
    return tf.constant(np.array(keys, dtype=np.int32).reshape(-1, 4))


def stateless_seed(keys: tf.Tensor, counter: tf.Tensor | int) -> tf.Tensor:
    """Seeds for `tf.random.stateless_*`: key and counter (a step number, or 0) side by side.

    Args:
        keys: int32 [...]; counter: int32 scalar.

    Returns:
        int32 [..., 2].
    """
    return tf.stack([keys, tf.fill(tf.shape(keys), tf.cast(counter, tf.int32))], axis=-1)
