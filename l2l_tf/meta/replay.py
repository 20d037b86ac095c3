"""The meta-gradient by rollout and replay.

The meta-loss is L(φ) = E_f[Σ_t w_t f(θ_t)] with θ_t = θ_0 + Σ_{s<t} g_s (equation 3). Under the paper's assumption
∂∇_t/∂φ = 0 the gradients ∇_t are inputs of the optimizer, so φ reaches θ_t only through the updates g_s with s < t:

    ∂L/∂g_s = Σ_{t>s} w_t ∇f(θ_t),      dL/dφ = Σ_s (∂g_s/∂φ)ᵀ ∂L/∂g_s.

The first is a suffix sum of gradients that the rollout has computed already; the second is a vector-Jacobian product of
the optimizer alone, run over those gradients again from the same h_0, with the suffix sums as cotangents of its
outputs. The optimizee is never differentiated twice nor kept on a tape.

A coordinatewise optimizer's dL/dφ is a sum over coordinates that do not touch each other. So it is computed block by
block, in bounded memory, and may be estimated from a random sample of coordinates. One whose coordinates are coupled
is always replayed whole. If the rollout has kept h_0 ...
h_{T-1}, which is worth the memory for a small optimizee whose coordinates are all replayed, only the backward pass is
left.
"""

import os
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.meta.base import Differentiated, MetaGradient, Unroll, state_numbers
from l2l_tf.meta.schedule import Replay
from l2l_tf.meta.vector_jacobian import differentiable, step_products
from l2l_tf.optimizees.base import Optimizee
from l2l_tf.optimizers.base import Optimizer, State
from l2l_tf.optimizers.groups import ParameterGroups
from l2l_tf.unroll import Optimization, Trajectory
from l2l_tf.xla import compiled

KEPT_STATES = 2**26  # numbers, at most, that a rollout keeps for the replay: 256 MiB in float32
WORTH_A_CORE = 256  # coordinates, at least, of a block that is made smaller so that all cores have one


class ReplayMetaGradient(MetaGradient):
    """dL/dφ from a rollout's recorded gradients.

    Args:
        replay: block size and sampled fraction.
    """

    def __init__(
        self,
        optimizee: Optimizee,
        optimizer: ParameterGroups,
        inverse_loss: bool = False,
        replay: Replay | None = None,
    ):
        super().__init__(optimizee, optimizer, inverse_loss)
        self.settings = Replay() if replay is None else replay
        self._backward_passes = [compiled(partial(backward_pass, group.optimizer)) for group in optimizer.groups]
        self._replays = [compiled(partial(replay_block, group.optimizer)) for group in optimizer.groups]

    def __call__(self, unroll: Unroll) -> Differentiated:
        """The unroll's losses, meta-gradient and end."""
        keep_states = self.keeps_states(unroll.begin, unroll.weights.shape[0])
        trajectory, losses, weights = self.recorded(unroll, keep_states)
        gradient = self.replayed(unroll.begin.state, trajectory, weights, unroll.sample_seed)
        return Differentiated(losses, gradient, trajectory.end)

    def keeps_states(self, begin: Optimization, steps: int) -> bool:
        """Whether a rollout of T = `steps` steps from here should keep all states for the replay."""
        return self.settings.fraction == 1 and state_numbers(begin, steps) <= KEPT_STATES

    def replayed(
        self, state: State, trajectory: Trajectory, weights: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """dL/dφ, one tensor for each of the optimizer's trainable variables.

        Args:
            state: h_0, from which the rollout started.
            trajectory: T steps of B problems, with ∇_0 ... ∇_T and, if the rollout has kept them, h_0 ... h_{T-1}.
            weights: w_1 ... w_T, [T].
            seed: int32 [2], of the sample of coordinates.
        """
        gradients, states = trajectory.gradients, trajectory.states
        problems = trajectory.losses.shape[1]
        total: list[tf.Tensor] = []
        groups = zip(self.optimizer.groups, self.optimizer.sizes(gradients, problems, 1), state, strict=True)
        vectors = self.optimizer.vectors(gradients, problems, 1)
        for index, (group, sizes, blocks) in enumerate(groups):
            if not group.optimizer.trainable_variables:
                continue
            if states:
                total += self._from_kept_states(index, states[index], vectors[index], weights / problems)
            elif group.coupled:
                cotangents = suffix_sums(vectors[index], weights / problems)
                total += self._replays[index](vectors[index][:-1], cotangents, *blocks)
            else:
                whole = [size < problems * self.settings.whole_below for size in sizes]
                strata = coordinate_strata(sizes, whole, self.settings.fraction)
                lengths = np.diff(np.append(strata, sum(sizes)))
                replayed = vectors[index], group.join(blocks)
                if len(strata) < sum(sizes):
                    chosen = sample(strata, lengths, seed + tf.constant([0, index]))
                    replayed = tf.gather(replayed[0], chosen, axis=-1), group.take(replayed[1], chosen)
                total += self._from_start(index, *replayed, weights, lengths / problems)
        return tuple(total)

    def _from_kept_states(self, index: int, states: State, gradients: tf.Tensor, weights: tf.Tensor) -> list[tf.Tensor]:
        """dL/dφ from all coordinates' gradients [T+1, n] and the states that the rollout has kept, in its blocks."""
        group = self.optimizer.groups[index]
        cotangents = suffix_sums(gradients, weights)
        blocks = zip(group.split(gradients[:-1]), group.split(cotangents), states, strict=True)
        return added(self._backward_passes[index](*block) for block in blocks)

    def _from_start(
        self, index: int, gradients: tf.Tensor, state: State, weights: tf.Tensor, scale: np.ndarray
    ) -> list[tf.Tensor]:
        """dL/dφ from coordinates' gradients [T+1, n] and h_0, coordinate i counted `scale`[i] times; in blocks."""
        group = self.optimizer.groups[index]
        cotangents = suffix_sums(gradients, weights, tf.constant(scale, gradients.dtype))
        block_size = balanced(gradients.shape[1], self.settings.block_size, os.cpu_count() or 1)
        vectors = [group.split(vectors, block_size) for vectors in (gradients[:-1], cotangents)]
        states = group.split_state(state, [block.shape[-1] for block in vectors[0]])
        return added(self._replays[index](*block) for block in zip(*vectors, states, strict=True))


def suffix_sums(gradients: tf.Tensor, weights: tf.Tensor, scale: tf.Tensor | float = 1.0) -> tf.Tensor:
    """∂L/∂g_s for s = 0 ... T-1, [T, ..., n], from ∇_0 ... ∇_T [T+1, ..., n] and w_1 ... w_T; `scale` times."""
    weights = tf.reshape(weights, [-1] + [1] * (gradients.shape.rank - 1))
    return tf.cumsum(gradients[1:] * (weights * scale), axis=0, reverse=True)


def added(parts: Iterable[tuple[tf.Tensor, ...]]) -> list[tf.Tensor]:
    """The sum of the blocks' shares of dL/dφ."""
    return [tf.add_n(list(gradient)) for gradient in zip(*parts, strict=True)]


def replay_block(
    optimizer: Optimizer, gradients: tf.Tensor, cotangents: tf.Tensor, state: State
) -> tuple[tf.Tensor, ...]:
    """`backward_pass` from h_0: the optimizer runs over the gradients once more, which gives h_0 ... h_{T-1}."""
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
    return backward_pass(optimizer, gradients, cotangents, states)


def backward_pass(
    optimizer: Optimizer, gradients: tf.Tensor, cotangents: tf.Tensor, states: State
) -> tuple[tf.Tensor, ...]:
    """Σ_s (∂g_s/∂φ)ᵀ cotangent_s for a block of n coordinates, or of B problems with n coupled coordinates each.

    Of the forward pass only the states are kept; in the backward pass each step is computed again and differentiated.
    That saves memory, and time too: XLA fuses one step well and an unrolled tape badly.

    Args:
        gradients: ∇_0 ... ∇_{T-1}, [T, n] or [T, B, n]; cotangents: the same; states: h_0 ... h_{T-1}, [T, ...] each.
    """
    steps = gradients.shape[0]
    variables = optimizer.trainable_variables

    def backward(
        step: tf.Tensor, gradient: tf.Tensor, cotangent: tf.Tensor, state_cotangents: list[tf.Tensor], total: Any
    ) -> Any:
        h = tf.nest.map_structure(lambda kept: kept[step], states)
        products = step_products(optimizer.update, variables, gradient, h, cotangent, state_cotangents)
        before = tf.maximum(step - 1, 0)
        total = tuple(a + b for a, b in zip(total, products.variables, strict=True))
        return step - 1, gradients[before], cotangents[before], products.state, total

    h = [tf.zeros_like(kept[0]) for kept in differentiable(states)]
    total = tuple(tf.zeros_like(variable) for variable in variables)
    loop = (tf.constant(steps - 1), gradients[-1], cotangents[-1], h, total)
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


def balanced(count: int, block_size: int, cores: int) -> int:
    """A block size of at most `block_size` that makes a multiple of as many blocks as there are cores to share them.

    Blocks of few coordinates are not worth more than two cores. The blocks decide in which order dL/dφ is added up, so
    that its last digits depend on the machine's cores.
    """
    shares = max(2, min(cores, count // WORTH_A_CORE))
    blocks = shares * -(-count // (shares * block_size))
    return -(-count // blocks)
