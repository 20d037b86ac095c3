"""Which optimizer updates which parameters: from named parameters of any shape to vectors of coordinates, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.checks import boolean, instance_of, one_of, shown
from l2l_tf.errors import InputError
from l2l_tf.optimizees.base import Parameters
from l2l_tf.optimizers.base import CoordinatewiseOptimizer, State
from l2l_tf.xla import compiled

MOST_GROUPS = 32


@dataclass(frozen=True)
class Group:
    """An optimizer and the parameters it updates, by name patterns as in a shell (`conv_*/w`)."""

    optimizer: CoordinatewiseOptimizer
    parameters: Sequence[str] = ("*",)

    def __post_init__(self) -> None:
        instance_of("optimizer.groups: optimizer", self.optimizer, CoordinatewiseOptimizer)
        parameters = self.parameters
        listed = isinstance(parameters, Sequence) and not isinstance(parameters, str)
        if not listed or not parameters or not all(isinstance(pattern, str) for pattern in parameters):
            raise InputError(f"optimizer.groups: parameters={shown(parameters)}: must be a list of name patterns")


class ParameterGroups:
    """Different optimizers for different parameters of one optimizee.

    The coordinates of a group's parameters are laid end to end in one vector, in the order of their names, and the
    vector is cut into blocks of at most the optimizer's `block_size`. The state is that of every block of every group.

    Args:
        groups: `Group`s, or mappings with their fields; every parameter must belong to exactly one of them.
        compile: whether XLA compiles the learned optimizers' updates, which fuses the gates' many small operations.
    """

    def __init__(self, groups: Sequence[Group | Mapping[str, Any]], compile: bool = True):
        if isinstance(groups, str) or not isinstance(groups, Sequence) or not 0 < len(groups) <= MOST_GROUPS:
            raise InputError(f"optimizer.groups={shown(groups)}: must be a list of 1 to {MOST_GROUPS} groups")
        boolean("optimizer.compile", compile)
        self.groups = [group if isinstance(group, Group) else _group(group) for group in groups]
        self._updates = [
            compiled(group.optimizer.update)
            if compile and group.optimizer.trainable_variables
            else group.optimizer.update
            for group in self.groups
        ]

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        """φ: the variables of all learned optimizers."""
        return tuple(variable for group in self.groups for variable in group.optimizer.trainable_variables)

    def assign(self, names: Sequence[str]) -> list[list[str]]:
        """The names that belong to each group, sorted.

        Raises:
            InputError: a pattern matches no name, or a name belongs to no group or to several.
        """
        owners: dict[str, list[int]] = {name: [] for name in sorted(names)}
        for index, group in enumerate(self.groups):
            for pattern in group.parameters:
                matches = [name for name in owners if fnmatchcase(name, pattern)]
                if not matches:
                    raise InputError(f"optimizer.groups: pattern {pattern!r} matches none of {', '.join(owners)}")
                for name in matches:
                    owners[name].append(index)
        for name, owner in owners.items():
            if len(set(owner)) != 1:
                raise InputError(f"optimizer.groups: parameter {name!r} is in {len(set(owner))} groups, must be in 1")
        return [[name for name, owner in owners.items() if owner[0] == i] for i in range(len(self.groups))]

    def init(self, params: Parameters) -> State:
        """State for these parameters: for each group a tuple with the state of each block."""
        return tuple(
            tuple(
                group.optimizer.init(block) for block in split(concatenate(params, names), group.optimizer.block_size)
            )
            for group, names in zip(self.groups, self.assign(list(params)), strict=True)
        )

    def update(self, gradients: Parameters, state: State) -> tuple[Parameters, State]:
        """Equation 3 for named parameters: updates of the same names and shapes, and the next state."""
        updates: Parameters = {}
        new_state = []
        names_of_groups = self.assign(list(gradients))
        for group, step, names, blocks in zip(self.groups, self._updates, names_of_groups, state, strict=True):
            vectors = split(concatenate(gradients, names), group.optimizer.block_size)
            results = [step(*block) for block in zip(vectors, blocks, strict=True)]
            vector = tf.concat([update for update, _ in results], axis=0)
            updates |= separate(vector, {name: gradients[name] for name in names})
            new_state.append(tuple(block for _, block in results))
        return {name: updates[name] for name in gradients}, tuple(new_state)


def _group(settings: Mapping[str, Any]) -> Group:
    instance_of("optimizer.groups: group", settings, Mapping)
    for name in settings:
        one_of("optimizer.groups: key", name, ("optimizer", "parameters"))
    if "optimizer" not in settings:
        raise InputError("optimizer.groups: optimizer: is missing")
    return Group(**settings)


def everything(optimizer: CoordinatewiseOptimizer | ParameterGroups) -> ParameterGroups:
    """The optimizer as parameter groups: one group with all parameters, unless it is groups already.

    Raises:
        InputError: it is not an optimizer.
    """
    instance_of("optimizer", optimizer, CoordinatewiseOptimizer, ParameterGroups)
    return optimizer if isinstance(optimizer, ParameterGroups) else ParameterGroups([Group(optimizer)])


def block_sizes(count: int, block_size: int | None) -> list[int]:
    """Sizes of nearly equal blocks, none above `block_size`, that make up `count` coordinates."""
    blocks = 1 if block_size is None else -(-count // block_size)
    return [len(block) for block in np.array_split(np.empty(count), blocks)]


def split(vectors: tf.Tensor, block_size: int | None) -> list[tf.Tensor]:
    """Cuts the last axis into blocks."""
    return tf.split(vectors, block_sizes(vectors.shape[-1], block_size), axis=-1)


def concatenate(params: Parameters, names: Sequence[str]) -> tf.Tensor:
    """The coordinates of the named parameters as one vector [n]."""
    return tf.concat([tf.reshape(params[name], [-1]) for name in names], axis=0)


def separate(vector: tf.Tensor, like: Parameters) -> Parameters:
    """The inverse of `concatenate`: a vector [n] to parameters with the names and shapes of `like`."""
    parts = tf.split(vector, [tensor.shape.num_elements() for tensor in like.values()])
    return {name: tf.reshape(part, like[name].shape) for part, name in zip(parts, like, strict=True)}
