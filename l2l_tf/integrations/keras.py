"""A trained optimizer in Keras: `model.compile(LearnedOptimizer("results/trained/mnist"), ...)`."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import tensorflow as tf

from l2l_tf.errors import InputError
from l2l_tf.integrations.variable_adapter import Patterns, regrouped, variable_rules
from l2l_tf.optimizers import ParameterGroups
from l2l_tf.serialization.trained import load_optimizer

_FILES = ("optimizer.yaml", "optimizer.safetensors")


@keras.saving.register_keras_serializable(package="l2l_tf")
class LearnedOptimizer(keras.optimizers.Optimizer):
    """A trained optimizer m as a Keras optimizer: θ ← θ + learning_rate · g with [g, h] = m(∇, h, φ) (equation 3).

    φ stays as it was trained. It travels in the optimizer's configuration, so that a saved model needs no other file;
    the state h of every coordinate is kept in Keras variables, saved and restored with the model. Loading such a model
    in a new process needs `import l2l_tf.keras` first, or `custom_objects={"LearnedOptimizer": LearnedOptimizer}`.

    Args:
        folder: of a trained optimizer, as `l2l_tf.serialization.trained.save_optimizer` writes it.
        parameters: for each of the trained optimizer's groups the name patterns of the variables it updates, such as
            `[["conv*/kernel"], ["*/bias", "dense*/kernel"]]`; the groups' own patterns if not given. Names are
            `layer/variable`, without the model's name. Every variable must belong to exactly one group.
        learning_rate: multiplies the proposed update; it is not a step size, which the optimizer has learned to choose.
            1, the default, is the optimizer as it was trained. A float or a Keras schedule.
        **options: what every Keras optimizer takes (`clipnorm`, `weight_decay`, ...).

    Raises:
        InputError: the folder is missing or damaged, or Keras runs on another backend than TensorFlow.
    """

    def __init__(
        self,
        folder: str | Path | Mapping[str, str],
        parameters: Patterns | None = None,
        learning_rate: Any = 1.0,
        **options: Any,
    ):
        if keras.backend.backend() != "tensorflow":
            raise InputError(f"KERAS_BACKEND={keras.backend.backend()}: must be tensorflow")
        super().__init__(float(learning_rate) if isinstance(learning_rate, int) else learning_rate, **options)
        optimizer = _unpack(folder) if isinstance(folder, Mapping) else load_optimizer(folder)
        self._optimizer = regrouped(optimizer, parameters)
        self._config = {
            "folder": dict(folder) if isinstance(folder, Mapping) else _pack(Path(folder)),
            "parameters": None if parameters is None else [list(group.parameters) for group in self._optimizer.groups],
        }

    def build(self, variables: Sequence[Any]) -> None:
        """Makes the state h_0 of the variables."""
        if self.built:
            return
        super().build(variables)
        self._rules = variable_rules(self._optimizer, variables)
        with tf.init_scope():  # `fit` builds its optimizer while it traces the training step
            self._states = [
                [self._state_variable(variable, part) for part in rule.init()]
                for rule, variable in zip(self._rules, variables, strict=True)
            ]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step of one variable."""
        index = self._get_variable_index(variable)
        state = self._states[index]
        update, new_state = self._rules[index](gradient, state)
        self.assign_add(variable, tf.cast(learning_rate, update.dtype) * update)
        for part, value in zip(state, new_state, strict=True):
            self.assign(part, value)

    def get_config(self) -> dict[str, Any]:
        """What makes the same optimizer again, φ included."""
        return {**super().get_config(), **self._config}

    def _state_variable(self, variable: Any, value: tf.Tensor) -> Any:
        name = f"{getattr(variable, 'path', variable.name).replace('/', '_').replace(':', '_')}_state"
        return self.add_variable(value.shape, lambda shape, dtype: value, dtype=value.dtype.name, name=name)


def _pack(folder: Path) -> dict[str, str]:
    """A trained optimizer's files as text, fit for JSON."""
    return {name: base64.b64encode((folder / name).read_bytes()).decode() for name in _FILES}


def _unpack(files: Mapping[str, str]) -> ParameterGroups:
    """The optimizer that `_pack` packed; `load_optimizer` verifies what it reads."""
    with TemporaryDirectory() as folder:
        for name in _FILES:
            try:
                (Path(folder) / name).write_bytes(base64.b64decode(files[name], validate=True))
            except (KeyError, TypeError, binascii.Error) as error:
                raise InputError(f"LearnedOptimizer's configuration: {name} is missing or damaged") from error
        return load_optimizer(folder)
