"""A trained optimizer in Sonnet: `LearnedOptimizer("results/trained/mnist").apply(gradients, parameters)`."""

from collections.abc import Sequence
from pathlib import Path

import sonnet as snt
import tensorflow as tf

from l2l_tf.errors import InputError
from l2l_tf.integrations.variable_adapter import Patterns, VariableRule, regrouped, variable_rules
from l2l_tf.serialization.trained import load_optimizer


class LearnedOptimizer(snt.Optimizer):
    """A trained optimizer m with Sonnet's interface: θ ← θ + learning_rate · g with [g, h] = m(∇, h, φ) (equation 3).

    Args:
        folder: of a trained optimizer, as `l2l_tf.serialization.trained.save_optimizer` writes it.
        parameters: for each of the trained optimizer's groups the name patterns of the parameters it updates, such as
            `[["conv*/w"], ["*/b", "linear*/w"]]`; the groups' own patterns if not given. Names are those of the
            variables, without the modules around all of them. Every parameter must belong to exactly one group.
        learning_rate: multiplies the proposed update; it is not a step size, which the optimizer has learned to choose.
            1, the default, is the optimizer as it was trained.

    Attributes:
        state: h of each parameter, as variables; made by the first `apply`, saved by `tf.train.Checkpoint`.

    Raises:
        InputError: the folder is missing or damaged.
    """

    def __init__(
        self,
        folder: str | Path,
        parameters: Patterns | None = None,
        learning_rate: float | tf.Variable = 1.0,
        name: str | None = None,
    ):
        super().__init__(name)
        self.learning_rate = learning_rate
        self.state: list[list[tf.Variable]] = []
        self._optimizer = regrouped(load_optimizer(folder), parameters)
        self._rules: list[VariableRule] = []
        self._references: list[object] = []

    def apply(self, updates: Sequence[tf.Tensor | tf.IndexedSlices | None], parameters: Sequence[tf.Variable]) -> None:
        """One step of all parameters.

        Args:
            updates: gradients, as from `tf.GradientTape.gradient`; where None, parameter and state stay.
            parameters: the same ones in the same order at every call.

        Raises:
            InputError: no parameters or no gradients, different lengths, or not the parameters of the first call.
        """
        if not parameters or len(updates) != len(parameters):
            raise InputError(f"{len(updates)} updates for {len(parameters)} parameters: must be as many, at least one")
        if all(update is None for update in updates):
            raise InputError("updates: all are None, no parameter has a gradient")
        if not self._rules:
            self._initialize(parameters)
        if self._references != [parameter.ref() for parameter in parameters]:
            raise InputError("parameters: must be those of the first call, in the same order")
        for update, parameter, rule, state in zip(updates, parameters, self._rules, self.state, strict=True):
            if update is not None:
                self._apply(update, parameter, rule, state)

    def _initialize(self, parameters: Sequence[tf.Variable]) -> None:
        self._references = [parameter.ref() for parameter in parameters]
        self._rules = variable_rules(self._optimizer, parameters)
        with tf.init_scope():  # the first call may be within a tf.function
            for rule in self._rules:  # appended, not assigned: a checkpoint read before waits for this very list
                self.state.append([tf.Variable(part, trainable=False, name="state") for part in rule.init()])

    def _apply(
        self,
        gradient: tf.Tensor | tf.IndexedSlices,
        parameter: tf.Variable,
        rule: VariableRule,
        state: list[tf.Variable],
    ) -> None:
        update, new_state = rule(gradient, state)
        parameter.assign_add(tf.cast(tf.cast(self.learning_rate, update.dtype) * update, parameter.dtype))
        for part, value in zip(state, new_state, strict=True):
            part.assign(value)
