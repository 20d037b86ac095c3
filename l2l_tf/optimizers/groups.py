"""Which optimizer updates which parameters: from named parameters of any shape to vectors of coordinates, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.checks import boolean, instance_of, one_of, shown
from l2l_tf.errors import InputError
from l2l_tf.optimizees.base import Parameters
from l2l_tf.optimizers.base import CoordinatewiseOptimizer, CoupledOptimizer, Optimizer, State
from l2l_tf.xla import compiled

MOST_GROUPS = 32


@dataclass(frozen=True)
class Group:
    """An optimizer and the parameters it updates, by name patterns as in a shell (`conv_*/w`)."""

    optimizer: Optimizer
    parameters: Sequence[str] = ("*",)

    def __post_init__(self) -> None:
        instance_of("groups: optimizer", self.optimizer, CoordinatewiseOptimizer, CoupledOptimizer)
        parameters = self.parameters
        listed = isinstance(parameters, Sequence) and not isinstance(parameters, str)
        if not listed or not parameters or not all(isinstance(pattern, str) for pattern in parameters):
            raise InputError(f"groups: parameters={shown(parameters)}: must be a list of name patterns")

    @property
    def coupled(self) -> bool:
        """Whether the coordinates must stay together."""
        return isinstance(self.optimizer, CoupledOptimizer)

    def split(self, vectors: tf.Tensor, block_size: int | None = None) -> list[tf.Tensor]:
        """Cuts vectors [..., n] into nearly equal blocks, of at most the optimizer's `block_size` unless one is given.

        With the optimizer's own block size the blocks are those of the state. Coupled coordinates are one block.
        """
        if isinstance(self.optimizer, CoupledOptimizer):
            return [vectors]
        if block_size is None and isinstance(self.optimizer, CoordinatewiseOptimizer):
            block_size = self.optimizer.block_size
        return tf.split(vectors, block_sizes(vectors.shape[-1], block_size), axis=-1)

    def split_state(self, state: State, sizes: Sequence[int]) -> list[State]:
        """Cuts the state of n coordinates into blocks of these sizes."""
        leaves = [
            tf.split(part, sizes, axis=-1) if along else [part] * len(sizes)
            for along, part in zip(tf.nest.flatten(self._along), tf.nest.flatten(state), strict=True)
        ]
        return [tf.nest.pack_sequence_as(state, [parts[k] for parts in leaves]) for k in range(len(sizes))]

    def join(self, blocks: Sequence[State]) -> State:
        """The state of all coordinates [..., n] from that of each block."""
        return tf.nest.map_structure(
            lambda along, *parts: tf.concat(parts, axis=-1) if along else parts[0], self._along, *blocks
        )

    def take(self, state: State, coordinates: tf.Tensor | Sequence[int]) -> State:
        """The state of some coordinates, by their numbers in the vector of all."""
        return tf.nest.map_structure(
            lambda along, part: tf.gather(part, coordinates, axis=-1) if along else part, self._along, state
        )

    @cached_property
    def _along(self) -> Any:
        """For each tensor of the state whether it has coordinates: whether its shape depends on their number."""
        with tf.init_scope():
            one, two = (self.optimizer.init(tf.zeros([count])) for count in (1, 2))
        return tf.nest.map_structure(lambda a, b: a.shape != b.shape, one, two)


class ParameterGroups:
    """Different optimizers for different parameters of one optimizee.

    The coordinates of a group's parameters are laid end to end in one vector, in the order of their names, and the
    vector is cut into blocks of at most the optimizer's `block_size`. The state is that of every block of every group.
    Where B problems are solved at once, their parameters have a leading axis B. A coordinatewise optimizer makes no
    difference between problems; a coupled one gets each problem's vector as a row, and its one block is [B, n].

    Args:
        groups: `Group`s, or mappings with their fields; every parameter must belong to exactly one of them.
        compile: whether XLA compiles the learned optimizers' updates, which fuses the gates' many small operations.
    """

    def __init__(self, groups: Sequence[Group | Mapping[str, Any]], compile: bool = True):
        if isinstance(groups, str) or not isinstance(groups, Sequence) or not 0 < len(groups) <= MOST_GROUPS:
            raise InputError(f"groups={shown(groups)}: must be a list of 1 to {MOST_GROUPS} groups")
        boolean("compile", compile)
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

    def vectors(self, params: Parameters, problems: int = 1, leading: int = 0) -> list[tf.Tensor]:
        """Each group's coordinates as one vector [..., n]: its parameters end to end, in the order of their names.

        Args:
            problems: B; a coupled group's is [..., B, n].
            leading: how many leading axes, of steps say, the parameters have before the problems' axis; they are kept.
        """
        members = zip(self.groups, self.assign(list(params)), strict=True)
        return [
            vector({name: params[name] for name in names}, leading, [problems] if group.coupled else [])
            for group, names in members
        ]

    def sizes(self, params: Parameters, problems: int = 1, leading: int = 0) -> list[list[int]]:
        """How many of the n coordinates of `vectors` each parameter has, by group."""
        members = zip(self.groups, self.assign(list(params)), strict=True)
        return [
            [params[name].shape[leading:].num_elements() // (problems if group.coupled else 1) for name in names]
            for group, names in members
        ]

    def named(self, vectors: Sequence[tf.Tensor], like: Parameters, problems: int = 1) -> Parameters:
        """The inverse of `vectors`: parameters with the names and shapes of `like`."""
        params: Parameters = {}
        for whole, names, sizes in zip(vectors, self.assign(list(like)), self.sizes(like, problems), strict=True):
            parts = zip(names, tf.split(whole, sizes, axis=-1), strict=True)
            params |= {name: tf.reshape(part, like[name].shape) for name, part in parts}
        return {name: params[name] for name in like}

    def init(self, params: Parameters, problems: int = 1) -> State:
        """State for the parameters of B = `problems` problems: for each group a tuple with the state of each block."""
        return tuple(
            tuple(group.optimizer.init(block) for block in group.split(whole))
            for group, whole in zip(self.groups, self.vectors(params, problems), strict=True)
        )

    def update(self, gradients: Parameters, state: State, problems: int = 1) -> tuple[Parameters, State]:
        """Equation 3 for named parameters of B = `problems`: updates of the same names and shapes, the next state."""
        updates, new_state = [], []
        parts = zip(self.groups, self._updates, self.vectors(gradients, problems), state, strict=True)
        for group, update, whole, blocks in parts:
            results = [update(*block) for block in zip(group.split(whole), blocks, strict=True)]
            updates.append(tf.concat([block for block, _ in results], axis=-1))
            new_state.append(tuple(block for _, block in results))
        return self.named(updates, gradients, problems), tuple(new_state)


def _group(settings: Mapping[str, Any]) -> Group:
    instance_of("groups: group", settings, Mapping)
    for name in settings:
        one_of("groups: key", name, ("optimizer", "parameters"))
    if "optimizer" not in settings:
        raise InputError("groups: optimizer: is missing")
    return Group(**settings)


def everything(optimizer: Optimizer | ParameterGroups) -> ParameterGroups:
    """The optimizer as parameter groups: one group with all parameters, unless it is groups already.

    Raises:
        InputError: it is not an optimizer.
    """
    instance_of("optimizer", optimizer, CoordinatewiseOptimizer, CoupledOptimizer, ParameterGroups)
    return optimizer if isinstance(optimizer, ParameterGroups) else ParameterGroups([Group(optimizer)])


def vector(params: Parameters, leading: int = 0, rows: Sequence[int] = ()) -> tf.Tensor:
    """Parameters end to end [..., *rows, n], in the order of their names: `ParameterGroups.vectors` of a group."""
    parts = [tf.reshape(params[name], [*params[name].shape[:leading], *rows, -1]) for name in sorted(params)]
    return tf.concat(parts, axis=-1)


def block_sizes(count: int, block_size: int | None) -> list[int]:
    """Sizes of nearly equal blocks, none above `block_size`, that make up `count` coordinates."""
    blocks = 1 if block_size is None else -(-count // block_size)
    return [len(block) for block in np.array_split(np.empty(count), blocks)]
