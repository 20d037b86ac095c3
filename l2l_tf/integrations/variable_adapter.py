"""A trained optimizer for a list of variables: what the Keras and the Sonnet optimizer share.

All variables of a group are laid end to end in one vector, which is updated in a few blocks of one size, each by one
compiled program that changes its state in place. An optimizer that treats every coordinate alike makes the same updates
as `ParameterGroups`, whose blocks are other ones.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from l2l_tf.errors import InputError
from l2l_tf.integrations.guard import Guard
from l2l_tf.names import short_names
from l2l_tf.optimizers import CoordinatewiseOptimizer, Group, Optimizer, ParameterGroups
from l2l_tf.xla import compiled

Patterns = str | Sequence[str | Sequence[str]]

CONVOLUTIONS = "convolutions"
MOST_BLOCKS = 32  # work for as many cores; more take long to start, larger ones take a little more memory

State = list[list[tf.Variable]]  # the tensors of h_t, by block


class VariableUpdates:
    """Equation 3 for variables of any shapes: [g_t, h_{t+1}] = m(∇_t, h_t, φ).

    Args:
        optimizer: its groups say which variables they take by name patterns.
        variables: Keras or TensorFlow variables; only their names and shapes are used. Those without coordinates are
            left alone.
        parameters: see `owners`.
        idle_rows: whether rows of a variable that have no entry in a sparse gradient are updated too: an optimizer
            with a memory moves on where the gradient is zero. Otherwise they and their state do not change.
        guard: whether a `Guard` watches over the updates.

    Raises:
        InputError: as `owners`.
    """

    def __init__(
        self,
        optimizer: ParameterGroups,
        variables: Sequence[Any],
        parameters: Patterns | None = None,
        idle_rows: bool = True,
        guard: bool = True,
    ):
        self.guard = Guard() if guard else None
        self.shapes = [tf.TensorShape(variable.shape) for variable in variables]
        self._idle_rows = idle_rows
        self._groups = []
        group_of = owners(optimizer, variables, parameters)
        for index, group in enumerate(optimizer.groups):
            members = [k for k, owner in enumerate(group_of) if owner == index and self.shapes[k].num_elements()]
            if members:
                sizes = [self.shapes[k].num_elements() for k in members]
                self._groups.append((members, _GroupUpdate(group.optimizer, sizes)))

    def initial_state(self) -> list[list[tf.Tensor]]:
        """h_0: for each block of each group its tensors."""
        return [block for _, group in self._groups for block in group.initial_state()]

    def watch(self, variables: Sequence[Any]) -> list[tf.Tensor]:
        """The guard's state at the start, without a guard nothing."""
        return self.guard.initial_state(variables) if self.guard else []

    def apply(
        self,
        gradients: Sequence[Any],
        variables: Sequence[tf.Variable | None],
        learning_rate: Any,
        state: State,
        watch: Sequence[tf.Variable],
    ) -> None:
        """θ_{t+1} = θ_t + learning_rate · g_t, unless the guard thinks better of it.

        Args:
            gradients: ∇_t, dense, sparse or None, where nothing changes.
            variables: θ_t; may be None where the gradient is.
            state, watch: h_t and the guard's state; changed in place.
        """
        additions = self(gradients, state, learning_rate)
        if self.guard:
            there = zip(gradients, additions, strict=True)
            dense = [None if addition is None else tf.convert_to_tensor(gradient) for gradient, addition in there]
            additions, set_back = self.guard(dense, additions, variables, watch)
            tf.cond(set_back, lambda: self._restart(state), lambda: False)
        for variable, addition in zip(variables, additions, strict=True):
            if variable is not None and addition is not None:
                variable.assign_add(tf.cast(addition, variable.dtype))

    def _restart(self, state: State) -> bool:
        for block, initial in zip(state, self.initial_state(), strict=True):
            for part, value in zip(block, initial, strict=True):
                part.assign(value)
        return True

    def __call__(self, gradients: Sequence[Any], state: State, learning_rate: Any = 1.0) -> list[tf.Tensor | None]:
        """∇_t, dense, sparse or None, to learning_rate · g_t of the variables' shapes; `state` becomes h_{t+1}.

        Where a gradient is None so is the update; these coordinates' state stays.
        """
        updates: list[tf.Tensor | None] = [None] * len(self.shapes)
        for members, group in self._groups:
            own, state = state[: group.blocks], state[group.blocks :]
            present = [gradients[k] is not None for k in members]
            if any(present):
                masks = [self._mask(gradients[k], self.shapes[k]) for k in members]
                dense = [self._dense(gradients[k], self.shapes[k], group.dtype) for k in members]
                parts = group(dense, masks, own, tf.cast(learning_rate, group.dtype))
                for k, part, there in zip(members, parts, present, strict=True):
                    updates[k] = tf.reshape(part, self.shapes[k]) if there else None
        return updates

    def _dense(self, gradient: Any, shape: tf.TensorShape, dtype: tf.DType) -> tf.Tensor:
        if gradient is None:
            return tf.zeros(shape, dtype)
        return tf.ensure_shape(tf.cast(tf.convert_to_tensor(gradient), dtype), shape)

    def _mask(self, gradient: Any, shape: tf.TensorShape) -> tf.Tensor | bool:
        """Which coordinates are updated [n], or whether all are."""
        if isinstance(gradient, tf.IndexedSlices) and not self._idle_rows:
            rows = tf.scatter_nd(gradient.indices[:, tf.newaxis], tf.ones_like(gradient.indices, tf.int32), shape[:1])
            return tf.repeat(rows > 0, shape[1:].num_elements())
        return gradient is not None


class _GroupUpdate:
    """Equation 3 for a group's coordinates, [n] in `blocks` of one size, the last one padded with zeros.

    Coupled coordinates are one block, whose state moves on as a whole: where a gradient is missing it counts as zero.
    """

    def __init__(self, optimizer: Optimizer, sizes: Sequence[int]):
        learned = optimizer.trainable_variables
        self.dtype = tf.as_dtype(learned[0].dtype) if learned else tf.float32
        self.blocks = 1
        coordinatewise = isinstance(optimizer, CoordinatewiseOptimizer)
        if isinstance(optimizer, CoordinatewiseOptimizer) and optimizer.block_size is not None:
            self.blocks = min(-(-sum(sizes) // optimizer.block_size), MOST_BLOCKS)
        self._optimizer, self._sizes = optimizer, sizes
        self._size = -(-sum(sizes) // self.blocks)
        self._padding = self._size * self.blocks - sum(sizes)
        self._rows = rows = [] if coordinatewise else [1]
        with tf.init_scope():
            one, two = (optimizer.init(tf.zeros([*rows, n], self.dtype)) for n in (1, 2))
        self._structure = tf.nest.map_structure(lambda _: None, one)
        shapes = zip(tf.nest.flatten(one), tf.nest.flatten(two), strict=True)
        self._has_coordinates = [coordinatewise and a.shape != b.shape for a, b in shapes]
        self._step = compiled(self._block) if learned else self._block

    def initial_state(self) -> list[list[tf.Tensor]]:
        with tf.init_scope():
            block = tf.nest.flatten(self._optimizer.init(tf.zeros([*self._rows, self._size], self.dtype)))
        return [block] * self.blocks

    def __call__(
        self, gradients: list[tf.Tensor], masks: list[Any], state: State, learning_rate: tf.Tensor
    ) -> list[tf.Tensor]:
        """Each variable's gradient and mask [n], or True or False for all of them, to learning_rate · g_t."""
        taken: list[Any] = [None] * self.blocks
        if any(mask is not True for mask in masks):
            sized = zip(self._sizes, masks, strict=True)
            taken = self._split([tf.fill([n], mask) if isinstance(mask, bool) else mask for n, mask in sized])
        blocks = zip(self._split(gradients), taken, state, strict=True)
        vector = tf.concat([self._step(*block, learning_rate) for block in blocks], axis=0)
        return tf.split(vector, [*self._sizes, self._padding])[:-1]

    def _split(self, parts: list[tf.Tensor]) -> list[tf.Tensor]:
        padding = tf.zeros([self._padding], parts[0].dtype)
        vector = tf.concat([*(tf.reshape(part, [-1]) for part in parts), padding], axis=0)
        return tf.split(vector, self.blocks)

    def _block(
        self, gradients: tf.Tensor, mask: tf.Tensor | None, state: list[tf.Variable], learning_rate: tf.Tensor
    ) -> tf.Tensor:
        """One block's learning_rate · g_t; its state is changed in place."""
        old = [tf.convert_to_tensor(part) for part in state]
        gradients = tf.reshape(gradients, [*self._rows, -1])
        updates, new = self._optimizer.update(gradients, tf.nest.pack_sequence_as(self._structure, old))
        updates = learning_rate * tf.reshape(updates, [-1])
        for part, before, after, own in zip(state, old, tf.nest.flatten(new), self._has_coordinates, strict=True):
            part.assign(after if mask is None or not own else tf.where(mask, after, before))
        return updates if mask is None else tf.where(mask, updates, tf.zeros_like(updates))


def regrouped(optimizer: ParameterGroups, parameters: Patterns | None) -> ParameterGroups:
    """The same optimizers for other parameters: for each group a name pattern or several; None changes nothing.

    Raises:
        InputError: not as many entries as the optimizer has groups.
    """
    if parameters is None or (parameters == CONVOLUTIONS and len(optimizer.groups) == 2):
        return optimizer
    if isinstance(parameters, str) or len(parameters) != len(optimizer.groups):
        raise InputError(f"parameters={parameters}: must have one entry for each of {len(optimizer.groups)} groups")
    patterns = [[entry] if isinstance(entry, str) else list(entry) for entry in parameters]
    return ParameterGroups([Group(group.optimizer, p) for group, p in zip(optimizer.groups, patterns, strict=True)])


def owners(optimizer: ParameterGroups, variables: Sequence[Any], parameters: Patterns | None = None) -> list[int]:
    """The number of each variable's group.

    Args:
        parameters: "convolutions" for an optimizer of two groups: the first takes the kernels of convolutions, the
            second all else. Otherwise variables belong to the group whose name patterns match their short names, in
            which the last module stays: `sequential/dense/kernel` is `dense/kernel` even where it is the only layer.

    Raises:
        InputError: a pattern matches no name, or a name belongs to no group or to several.
    """
    paths = [getattr(variable, "path", variable.name) for variable in variables]
    if parameters == CONVOLUTIONS:
        pairs = zip(paths, variables, strict=True)
        return [0 if _is_kernel_of_convolution(path, len(variable.shape)) else 1 for path, variable in pairs]
    names = short_names(paths, keep=1)
    members = optimizer.assign(list(set(names))) if names else []
    group_of = {name: index for index, group in enumerate(members) for name in group}
    return [group_of[name] for name in names]


def _is_kernel_of_convolution(path: str, rank: int) -> bool:
    """Attention's kernels have three axes too, as Conv1D's: these are told apart by their layer's name."""
    return rank in (4, 5) or (rank == 3 and "conv" in path.lower())
