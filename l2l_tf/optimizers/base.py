"""What optimizes: two pure functions, `init` and `update`."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import tensorflow as tf

State = Any


class Optimizer(ABC):
    """An optimizer m: all it sees is a vector of coordinates, which `ParameterGroups` makes of named parameters.

    To write one, derive from `CoordinatewiseOptimizer` or `CoupledOptimizer`, which say what a coordinate may see.
    """

    trainable_variables: ClassVar[tuple[tf.Variable, ...]] = ()

    @abstractmethod
    def init(self, coordinates: tf.Tensor) -> State:
        """State h_0 for a vector of coordinates θ_0 [n]."""

    @abstractmethod
    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Equation 3: [g_t, h_{t+1}] = m(∇_t, h_t, φ), with ∇_t and g_t vectors [n]; then θ_{t+1} = θ_t + g_t."""


class CoordinatewiseOptimizer(Optimizer):
    """An optimizer that treats every coordinate alike (section 2.1), so that any of them may be updated apart.

    Every tensor of the state has the coordinates as its last axis, or does not depend on them at all (a step count).

    Attributes:
        block_size: the largest number of coordinates worth updating at once; None for any number.
    """

    block_size: int | None = None


class CoupledOptimizer(Optimizer):
    """An optimizer whose coordinates see each other (appendix D), so that they stay together.

    `init` and `update` get [B, n] instead of [n], and give updates [B, n]: the vectors of B problems, each of which is
    optimized by itself. A problem's vector holds all its coordinates in the optimizer's group, in the order of the
    parameters' names, never a block or a sample of them. The state's tensors may have any shape, such as [B, n, n].
    """
