"""The meta-gradient by rollout and replay.

The meta-loss is L(φ) = E_f[Σ_t w_t f(θ_t)] with θ_t = θ_0 + Σ_{s<t} g_s (equation 3). Under the paper's assumption
∂∇_t/∂φ = 0 the gradients ∇_t are inputs of the optimizer, so φ reaches θ_t only through the updates g_s with s < t:

    ∂L/∂g_s = Σ_{t>s} w_t ∇f(θ_t),      dL/dφ = Σ_s (∂g_s/∂φ)ᵀ ∂L/∂g_s.

The first is a suffix sum of gradients that the rollout has computed already; the second is the optimizer alone, run
over those gradients again from the same h_0 and pulled back with the suffix sums as cotangents of its outputs. The
optimizee is never differentiated twice nor kept on a tape.

A coordinatewise optimizer's dL/dφ is a sum over coordinates that do not touch each other. So it is computed block by
block, in bounded memory, and may be estimated from a random sample of coordinates. If the rollout has kept h_0 ...
h_{T-1}, which is worth the memory for a small optimizee whose coordinates are all replayed, only the way back is left.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.meta.schedule import Replay
from l2l_tf.optimizees.base import Parameters
from l2l_tf.optimizers.base import CoordinatewiseOptimizer, State
from l2l_tf.optimizers.groups import ParameterGroups, split
from l2l_tf.xla import compiled

KEPT_STATES = 2**26  # numbers, at most, that a rollout keeps for the replay: 256 MiB in float32


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
        self._replays = [compiled(partial(replay_block, group.optimizer)) for group in optimizer.groups]

    def keeps_states(self, state: State, steps: int) -> bool:
        """Whether a rollout of T = `steps` steps from this state should keep all states for the replay."""
        numbers = sum(tensor.shape.num_elements() for tensor in tf.nest.flatten(state))
        return self.settings.fraction == 1 and steps * numbers <= KEPT_STATES

    def meta_gradient(
        self, state: State, gradients: Parameters, weights: tf.Tensor, seed: tf.Tensor, states: State = ()
    ) -> tuple[tf.Tensor, ...]:
        """dL/dφ, one tensor for each of the optimizer's trainable variables.

        Args:
            state: h_0, from which the rollout started.
            gradients: ∇_0 ... ∇_T of B problems, [T+1, B, ...] each.
            weights: w_1 ... w_T, [T].
            seed: int32 [2], of the sample of coordinates.
            states: h_0 ... h_{T-1}, [T, ...] each, if `keeps_states` and the rollout has kept them.
        """
        problems = next(iter(gradients.values())).shape[1]
        total: list[tf.Tensor] = []
        names_of_groups = self.optimizer.assign(list(gradients))
        for index, (group, names, blocks) in enumerate(zip(self.optimizer.groups, names_of_groups, state, strict=True)):
            if not group.optimizer.trainable_variables:
                continue
            vectors = tf.concat([tf.reshape(gradients[n], [gradients[n].shape[0], -1]) for n in names], axis=1)
            if states:
                total += self._pull_back(index, states[index], vectors, weights / problems)
            else:
                sizes = [gradients[name].shape[1:].num_elements() for name in names]
                whole = [size < problems * self.settings.whole_below for size in sizes]
                strata = coordinate_strata(sizes, whole, self.settings.fraction)
                lengths = np.diff(np.append(strata, sum(sizes)))
                h = tf.nest.map_structure(lambda *tensors: tf.concat(tensors, axis=-1), *blocks)
                if len(strata) < sum(sizes):
                    chosen = sample(strata, lengths, seed + tf.constant([0, index]))
                    vectors, h = tf.nest.map_structure(lambda x, i=chosen: tf.gather(x, i, axis=-1), (vectors, h))
                total += self._replay(index, h, vectors, weights, lengths / problems)
        return tuple(total)

    def _pull_back(self, index: int, states: State, gradients: tf.Tensor, weights: tf.Tensor) -> list[tf.Tensor]:
        """dL/dφ from all coordinates' gradients [T+1, n] and the states that the rollout has kept, in its blocks."""
        block_size = self.optimizer.groups[index].optimizer.block_size
        cotangents = suffix_sums(gradients, weights[:, tf.newaxis])
        blocks = zip(split(gradients[:-1], block_size), split(cotangents, block_size), states, strict=True)
        return added(self._pull_backs[index](*block) for block in blocks)

    def _replay(
        self, index: int, state: State, gradients: tf.Tensor, weights: tf.Tensor, scale: np.ndarray
    ) -> list[tf.Tensor]:
        """dL/dφ from some coordinates' gradients [T+1, n], each coordinate counted `scale` [n] times; in blocks."""
        cotangents = suffix_sums(gradients, weights[:, tf.newaxis] * tf.constant(scale, gradients.dtype))
        replayed = (gradients[:-1], cotangents, state)
        block_size = balanced(gradients.shape[1], self.settings.block_size)
        leaves = [split(tensor, block_size) for tensor in tf.nest.flatten(replayed)]
        blocks = [tf.nest.pack_sequence_as(replayed, block) for block in zip(*leaves, strict=True)]
        return added(self._replays[index](*block) for block in blocks)


def suffix_sums(gradients: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """∂L/∂g_s for s = 0 ... T-1, [T, n], from ∇_0 ... ∇_T."""
    return tf.cumsum(gradients[1:] * weights, axis=0, reverse=True)


def added(parts: Iterable[tuple[tf.Tensor, ...]]) -> list[tf.Tensor]:
    """The blocks' shares of dL/dφ, added up."""
    return [tf.add_n(list(gradient)) for gradient in zip(*parts, strict=True)]


def replay_block(
    optimizer: CoordinatewiseOptimizer, gradients: tf.Tensor, cotangents: tf.Tensor, state: State
) -> tuple[tf.Tensor, ...]:
    """`pull_back` from h_0: the optimizer runs over the gradients once more, which gives h_0 ... h_{T-1}."""
    steps = gradients.shape[0]
    states = tf.nest.map_structure(lambda h: tf.TensorArray(h.dtype, steps, element_shape=h.shape), state)

    def forward(step: tf.Tensor, gradient: tf.Tensor, state: State, states: Any) -> Any:
        states = tf.nest.map_structure(lambda array, h: array.write(step, h), states, state)
        return step + 1, gradients[tf.minimum(step + 1, steps - 1)], optimizer.update(gradient, state)[1], states

    # A loop gets its step's gradient and cotangent from the step before: XLA would fuse their slicing with the
    # arithmetic, which it then does not vectorize.
    loop = (tf.constant(0), gradients[0], state, states)
    *_, states = tf.while_loop(lambda step, *_: step < steps, forward, loop, maximum_iterations=steps)
    states = tf.nest.map_structure(lambda array: array.stack(), states)
    return pull_back(optimizer, gradients, cotangents, states)


def pull_back(
    optimizer: CoordinatewiseOptimizer, gradients: tf.Tensor, cotangents: tf.Tensor, states: State
) -> tuple[tf.Tensor, ...]:
    """Σ_s (∂g_s/∂φ)ᵀ cotangent_s for a block of n coordinates.

    Of the way forward only the states are kept; on the way back each step is computed again and differentiated. That
    saves memory, and time too: XLA fuses one step well and an unrolled tape badly.

    Args:
        gradients: ∇_0 ... ∇_{T-1}, [T, n]; cotangents: [T, n]; states: h_0 ... h_{T-1}, [T, ...] each.
    """
    steps = gradients.shape[0]
    variables = optimizer.trainable_variables

    def backward(
        step: tf.Tensor,
        gradient: tf.Tensor,
        cotangent: tf.Tensor,
        state_cotangents: State,
        total: tuple[tf.Tensor, ...],
    ) -> Any:
        h = tf.nest.map_structure(lambda kept: kept[step], states)
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

    first = tf.nest.map_structure(lambda kept: kept[0], states)
    zero = tf.nest.map_structure(tf.zeros_like, (first, tuple(v.value() for v in variables)))
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
