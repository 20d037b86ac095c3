"""What optimizes: two pure functions, `init` and `update`."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import tensorflow as tf

State = Any


class CoordinatewiseOptimizer(ABC):
    """An optimizer m that treats every coordinate alike (section 2.1): all it sees is a vector of coordinates.

    `ParameterGroups` carries it from vectors to named parameters of any shape. Every tensor of the state has the
    coordinates as its last axis, or does not depend on them at all (a step count).

    Attributes:
        block_size: the largest number of coordinates worth updating at once; None for any number.
    """

    block_size: int | None = None
    trainable_variables: ClassVar[tuple[tf.Variable, ...]] = ()

    @abstractmethod
    def init(self, coordinates: tf.Tensor) -> State:
        """State h_0 for a vector of coordinates θ_0 [n]."""

    @abstractmethod
    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Equation 3: [g_t, h_{t+1}] = m(∇_t, h_t, φ), with ∇_t and g_t vectors [n]; then θ_{t+1} = θ_t + g_t."""
