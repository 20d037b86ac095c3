"""A trained optimizer in Sonnet: `LearnedOptimizer().apply(gradients, parameters)`."""

from collections.abc import Sequence
from pathlib import Path

import sonnet as snt
import tensorflow as tf

from l2l_tf.errors import InputError
from l2l_tf.integrations.variable_adapter import Patterns, VariableUpdates, regrouped
from l2l_tf.serialization.trained import load_optimizer


class LearnedOptimizer(snt.Optimizer):
    """A trained optimizer m with Sonnet's interface: θ ← θ + learning_rate · g with [g, h] = m(∇, h, φ) (equation 3).

    Args:
        source: a pretrained optimizer's name, or the folder of one, as `l2l_tf.serialization.trained.save_optimizer`
            writes it.
        parameters: for each of the trained optimizer's groups the name patterns of the parameters it updates, such as
            `[["conv*/w"], ["*/b", "linear*/w"]]`; the groups' own patterns if not given. Names are those of the
            variables, without the modules around all of them. Every parameter must belong to exactly one group.
            "convolutions": the first of two groups takes the kernels of convolutions, the second all else.
        learning_rate: multiplies the proposed update; it is not a step size, which the optimizer has learned to choose.
            1, the default, is the optimizer as it was trained.
        idle_rows: whether rows of an embedding that have no gradient in a step are updated too, as the optimizer was
            trained to: it remembers their last gradients. Otherwise they and their state do not change.
        guard: whether to watch for divergence, set the model back to where it still improved and damp the updates; see
            `l2l_tf.integrations.guard`. Without divergence it changes nothing. False: the optimizer as it was trained.

    Attributes:
        state: h as variables, by block of coordinates; made by the first `apply`, saved by `tf.train.Checkpoint`.
        watch: the guard's state as variables; the first one counts its interventions.

    Raises:
        InputError: the source is missing or damaged.
    """

    def __init__(
        self,
        source: str | Path = "general",
        parameters: Patterns | None = None,
        learning_rate: float | tf.Variable = 1.0,
        idle_rows: bool = True,
        guard: bool = True,
        name: str | None = None,
    ):
        super().__init__(name)
        self.learning_rate = learning_rate
        self.state: list[list[tf.Variable]] = []
        self.watch: list[tf.Variable] = []
        self._optimizer = regrouped(load_optimizer(source), parameters)
        self._parameters, self._idle_rows, self._guard = parameters, idle_rows, guard
        self._updates: VariableUpdates | None = None
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
        if self._updates is None:
            self._updates = self._initialize(parameters)
        if self._references != [parameter.ref() for parameter in parameters]:
            raise InputError("parameters: must be those of the first call, in the same order")
        self._updates.apply(updates, parameters, self.learning_rate, self.state, self.watch)
        if self._updates.guard and tf.executing_eagerly():
            self._updates.guard.say(self.watch)

    def _initialize(self, parameters: Sequence[tf.Variable]) -> VariableUpdates:
        self._references = [parameter.ref() for parameter in parameters]
        updates = VariableUpdates(self._optimizer, parameters, self._parameters, self._idle_rows, self._guard)
        with tf.init_scope():  # the first call may be within a tf.function
            for (
                block
            ) in updates.initial_state():  # appended, not assigned: a checkpoint read before waits for this list
                self.state.append([tf.Variable(part, trainable=False, name="state") for part in block])
            self.watch.extend(tf.Variable(part, trainable=False, name="watch") for part in updates.watch(parameters))
        return updates
