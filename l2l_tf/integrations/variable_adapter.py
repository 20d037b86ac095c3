"""An optimizer for one variable at a time: what the Keras and the Sonnet optimizer share.

`ParameterGroups` lays a group's parameters end to end. Frameworks hand over one variable at a time instead, some of
them without a gradient. An optimizer that treats every coordinate alike makes the same updates either way.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from l2l_tf.errors import InputError
from l2l_tf.names import short_names
from l2l_tf.optimizers import Group, ParameterGroups, everything

Patterns = Sequence[str | Sequence[str]]


class VariableRule:
    """Equation 3 for one variable: [g_t, h_{t+1}] = m(∇_t, h_t, φ), with h as a flat list of tensors.

    Args:
        optimizer: one group that takes any name.
        variable: a Keras or TensorFlow variable; only its shape and dtype are used.
    """

    def __init__(self, optimizer: ParameterGroups, variable: Any):
        learned = optimizer.trainable_variables
        self._optimizer = optimizer
        self._shape = variable.shape
        self._dtype = tf.as_dtype(learned[0].dtype if learned else variable.dtype)
        with tf.init_scope():
            self._structure = tf.nest.map_structure(lambda _: None, self._initial_state())

    def init(self) -> list[tf.Tensor]:
        """h_0."""
        with tf.init_scope():
            return tf.nest.flatten(self._initial_state())

    def __call__(self, gradient: Any, state: Sequence[Any]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """∇_t, of the variable's shape, dense or sparse, and h_t to g_t, of that shape, and h_{t+1}."""
        # Sparse gradients become dense: coordinates without a gradient move too, as the optimizer remembers others.
        dense = tf.ensure_shape(tf.cast(tf.convert_to_tensor(gradient), self._dtype), self._shape)
        packed = tf.nest.pack_sequence_as(self._structure, [tf.convert_to_tensor(part) for part in state])
        updates, new_state = self._optimizer.update({"": dense}, packed)
        return updates[""], tf.nest.flatten(new_state)

    def _initial_state(self) -> Any:
        return self._optimizer.init({"": tf.zeros(self._shape, self._dtype)})


def regrouped(optimizer: ParameterGroups, parameters: Patterns | None) -> ParameterGroups:
    """The same optimizers for other parameters: for each group a name pattern or several; None changes nothing.

    Raises:
        InputError: not as many entries as the optimizer has groups.
    """
    if parameters is None:
        return optimizer
    if len(parameters) != len(optimizer.groups):
        raise InputError(f"parameters={parameters}: must have one entry for each of {len(optimizer.groups)} groups")
    patterns = [[entry] if isinstance(entry, str) else list(entry) for entry in parameters]
    return ParameterGroups([Group(group.optimizer, p) for group, p in zip(optimizer.groups, patterns, strict=True)])


def variable_rules(optimizer: ParameterGroups, variables: Sequence[Any]) -> list[VariableRule]:
    """Each variable's rule, by the group that its short name belongs to.

    The last module stays in a name: `sequential/dense/kernel` becomes `dense/kernel` even where it is the only layer.

    Raises:
        InputError: a pattern matches no name, or a name belongs to no group or to several.
    """
    names = short_names([getattr(variable, "path", variable.name) for variable in variables], keep=1)
    owners = {name: index for index, members in enumerate(optimizer.assign(list(set(names)))) for name in members}
    singles = [everything(group.optimizer) for group in optimizer.groups]  # shared: one trace for each shape
    return [VariableRule(singles[owners[name]], variable) for name, variable in zip(names, variables, strict=True)]
