"""The meta-gradient by rollout and replay.

The meta-loss is L(φ) = E_f[Σ_t w_t f(θ_t)] with θ_t = θ_0 + Σ_{s<t} g_s (equation 3). Under the paper's assumption
∂∇_t/∂φ = 0 the gradients ∇_t are inputs of the optimizer, so φ reaches θ_t only through the updates g_s with s < t:

    ∂L/∂g_s = Σ_{t>s} w_t ∇f(θ_t),      dL/dφ = Σ_s (∂g_s/∂φ)ᵀ ∂L/∂g_s.

The first is a suffix sum of gradients that the rollout has computed already; the second is the optimizer alone, run
over those gradients again from the same h_0 and pulled back with the suffix sums as cotangents of its outputs. The
optimizee is never differentiated twice nor kept on a tape.

A coordinatewise optimizer's dL/dφ is a sum over coordinates that do not touch each other. So it is computed block by
block, in bounded memory, and may be estimated from a random sample of coordinates.
"""

from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.meta.schedule import Replay
from l2l_tf.optimizees.base import Parameters
from l2l_tf.optimizers.base import CoordinatewiseOptimizer, State
from l2l_tf.optimizers.groups import ParameterGroups, split
from l2l_tf.xla import compiled


class Replayer:
    """Computes dL/dφ from a rollout's recorded gradients.

    Args:
        optimizer: the optimizer that was rolled out.
        replay: block size and sampled fraction.
    """

    def __init__(self, optimizer: ParameterGroups, replay: Replay):
        self.optimizer = optimizer
        self.settings = replay
        self._pull_backs = [compiled(partial(pull_back, group.optimizer)) for group in optimizer.groups]

    def meta_gradient(
        self, state: State, gradients: Parameters, weights: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """dL/dφ, one tensor for each of the optimizer's trainable variables.

        Args:
            state: h_0, from which the rollout started.
            gradients: ∇_0 ... ∇_T of B problems, [T+1, B, ...] each.
            weights: w_1 ... w_T, [T].
            seed: int32 [2], of the sample of coordinates.
        """
        problems = next(iter(gradients.values())).shape[1]
        total: list[tf.Tensor] = []
        names_of_groups = self.optimizer.assign(list(gradients))
        for index, (group, names, blocks) in enumerate(zip(self.optimizer.groups, names_of_groups, state, strict=True)):
            if not group.optimizer.trainable_variables:
                continue
            vectors = tf.concat([tf.reshape(gradients[n], [gradients[n].shape[0], -1]) for n in names], axis=1)
            h = tf.nest.map_structure(lambda *tensors: tf.concat(tensors, axis=-1), *blocks)
            sizes = [gradients[name].shape[1:].num_elements() for name in names]
            whole = [size < problems * self.settings.whole_below for size in sizes]
            strata = coordinate_strata(sizes, whole, self.settings.fraction)
            lengths = np.diff(np.append(strata, sum(sizes)))
            if len(strata) < sum(sizes):
                chosen = sample(strata, lengths, seed + tf.constant([0, index]))
                vectors, h = tf.nest.map_structure(lambda x, i=chosen: tf.gather(x, i, axis=-1), (vectors, h))
            total += self._replay(index, h, vectors, weights, lengths / problems)
        return tuple(total)

    def _replay(
        self, index: int, state: State, gradients: tf.Tensor, weights: tf.Tensor, scale: np.ndarray
    ) -> list[tf.Tensor]:
        """dL/dφ from some coordinates' gradients [T+1, n], each coordinate counted `scale` [n] times; in blocks."""
        weighted = gradients[1:] * weights[:, tf.newaxis] * tf.constant(scale, gradients.dtype)
        cotangents = tf.cumsum(weighted, axis=0, reverse=True)  # ∂L/∂g_s for s = 0 ... T-1
        replayed = (gradients[:-1], cotangents, state)
        block_size = balanced(gradients.shape[1], self.settings.block_size)
        leaves = [split(tensor, block_size) for tensor in tf.nest.flatten(replayed)]
        blocks = [tf.nest.pack_sequence_as(replayed, block) for block in zip(*leaves, strict=True)]
        parts = [self._pull_backs[index](*block) for block in blocks]
        return [tf.add_n(list(gradient)) for gradient in zip(*parts, strict=True)]


def pull_back(
    optimizer: CoordinatewiseOptimizer, gradients: tf.Tensor, cotangents: tf.Tensor, state: State
) -> tuple[tf.Tensor, ...]:
    """Σ_s (∂g_s/∂φ)ᵀ cotangent_s for a block of n coordinates.

    Only h_0 ... h_{T-1} are kept on the way forward; on the way back each step is computed again and differentiated.
    That saves memory, and time too: XLA fuses one step well and an unrolled tape badly.

    Args:
        gradients: ∇_0 ... ∇_{T-1}, [T, n]; cotangents: [T, n]; state: h_0.
    """
    steps = gradients.shape[0]
    variables = optimizer.trainable_variables
    history = tf.nest.map_structure(lambda h: tf.TensorArray(h.dtype, steps, element_shape=h.shape), state)

    def forward(step: tf.Tensor, gradient: tf.Tensor, state: State, history: Any) -> Any:
        history = tf.nest.map_structure(lambda array, h: array.write(step, h), history, state)
        return step + 1, gradients[tf.minimum(step + 1, steps - 1)], optimizer.update(gradient, state)[1], history

    # A loop gets its step's gradient and cotangent from the step before: XLA would fuse their slicing with the
    # arithmetic, which it then does not vectorize.
    loop = (tf.constant(0), gradients[0], state, history)
    *_, history = tf.while_loop(lambda step, *_: step < steps, forward, loop, maximum_iterations=steps)

    def backward(
        step: tf.Tensor,
        gradient: tf.Tensor,
        cotangent: tf.Tensor,
        state_cotangents: State,
        total: tuple[tf.Tensor, ...],
    ) -> Any:
        h = tf.nest.map_structure(lambda array: array.read(step), history)
        with tf.GradientTape() as tape:
            tape.watch(h)
            outputs = optimizer.update(gradient, h)
        pulled, h_cotangents = tape.gradient(
            outputs,
            (variables, h),
            output_gradients=(cotangent, state_cotangents),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        before = tf.maximum(step - 1, 0)
        total = tuple(a + b for a, b in zip(total, pulled, strict=True))
        return step - 1, gradients[before], cotangents[before], h_cotangents, total

    zero = tf.nest.map_structure(tf.zeros_like, (state, tuple(v.value() for v in variables)))
    loop = (tf.constant(steps - 1), gradients[-1], cotangents[-1], *zero)
    *_, total = tf.while_loop(lambda step, *_: step >= 0, backward, loop, maximum_iterations=steps)
    return total


def coordinate_strata(sizes: list[int], whole: list[bool], fraction: float) -> np.ndarray:
    """First coordinates of the strata into which tensors laid end to end are cut; one coordinate of each is sampled.

    A tensor of `size` coordinates gets round(size · fraction) strata of nearly equal length, so that the sample is
    spread evenly over it; a tensor that is kept whole gets one stratum a coordinate.
    """
    bounds, offset = [], 0
    for size, keep in zip(sizes, whole, strict=True):
        strata = size if keep else max(1, round(size * fraction))
        bounds.append(offset + (np.arange(strata) * size) // strata)
        offset += size
    return np.concatenate(bounds)


def sample(strata: np.ndarray, lengths: np.ndarray, seed: tf.Tensor) -> tf.Tensor:
    """One uniformly random coordinate of each stratum: int32 [len(strata)]."""
    uniform = tf.random.stateless_uniform([len(strata)], seed)
    within = tf.minimum(tf.cast(uniform * lengths.astype(np.float32), tf.int32), lengths.astype(np.int32) - 1)
    return strata.astype(np.int32) + within


def balanced(count: int, block_size: int) -> int:
    """A block size of at most `block_size` that makes an even number of blocks, for two cores to share."""
    blocks = 2 * -(-count // (2 * block_size))
    return -(-count // blocks)
