"""A trained optimizer in Keras: `model.compile(LearnedOptimizer(), ...)`."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from l2l_tf.errors import InputError
from l2l_tf.integrations.variable_adapter import CONVOLUTIONS, Patterns, VariableUpdates, regrouped
from l2l_tf.optimizers import ParameterGroups
from l2l_tf.serialization.trained import load_optimizer, optimizer_folder

_FILES = ("optimizer.yaml", "optimizer.safetensors")


@keras.saving.register_keras_serializable(package="l2l_tf")
class LearnedOptimizer(keras.optimizers.Optimizer):
    """A trained optimizer m as a Keras optimizer: θ ← θ + learning_rate · g with [g, h] = m(∇, h, φ) (equation 3).

    φ stays as it was trained. It travels in the optimizer's configuration, so that a saved model needs no other file;
    the state h of every coordinate is kept in Keras variables, saved and restored with the model. Loading such a model
    in a new process needs `import l2l_tf.keras` first, or `custom_objects={"LearnedOptimizer": LearnedOptimizer}`.

    Args:
        source: a pretrained optimizer's name, or the folder of one, as `l2l_tf.serialization.trained.save_optimizer`
            writes it.
        parameters: for each of the trained optimizer's groups the name patterns of the variables it updates, such as
            `[["conv*/kernel"], ["*/bias", "dense*/kernel"]]`; the groups' own patterns if not given. Names are
            `layer/variable`, without the model's name. Every variable must belong to exactly one group.
            "convolutions", which is also what an optimizer with the pattern `conv_*/w` does by itself: the first of two
            groups takes the kernels of convolutions, the second all else, whatever their names.
        learning_rate: multiplies the proposed update; it is not a step size, which the optimizer has learned to choose.
            1, the default, is the optimizer as it was trained. A float or a Keras schedule.
        idle_rows: whether rows of an embedding that have no gradient in a step are updated too, as the optimizer was
            trained to: it remembers their last gradients. Otherwise they and their state stay as they are, which needs
            sparse gradients: Keras's `clipnorm` and accumulation of gradients make them dense.
        guard: whether to watch for divergence, set the model back to where it still improved and damp the updates; see
            `l2l_tf.integrations.guard`. Without divergence it changes nothing. False: the optimizer as it was trained.
        **options: what every Keras optimizer takes (`clipnorm`, `weight_decay`, ...).

    Raises:
        InputError: the source is missing or damaged, or Keras runs on another backend than TensorFlow.
    """

    def __init__(
        self,
        source: str | Path | Mapping[str, str] = "general",
        parameters: Patterns | None = None,
        learning_rate: Any = 1.0,
        idle_rows: bool = True,
        guard: bool = True,
        **options: Any,
    ):
        if keras.backend.backend() != "tensorflow":
            raise InputError(f"KERAS_BACKEND={keras.backend.backend()}: must be tensorflow")
        super().__init__(float(learning_rate) if isinstance(learning_rate, int) else learning_rate, **options)
        files = dict(source) if isinstance(source, Mapping) else _pack(optimizer_folder(source))
        optimizer = _unpack(files) if isinstance(source, Mapping) else load_optimizer(source)
        if parameters is None and optimizer.groups[0].parameters == ["conv_*/w"]:  # Sonnet's names, never Keras's
            parameters = CONVOLUTIONS
        self._optimizer = regrouped(optimizer, parameters)
        self._awaited: tuple[Any, ...] | None = None
        self._config: dict[str, Any] = {
            "source": files,
            "parameters": _as_lists(parameters),
            "idle_rows": idle_rows,
            "guard": guard,
        }

    def build(self, variables: Sequence[Any]) -> None:
        """Makes the state h_0 of the variables, or what `set_weights` was given before."""
        if self.built or not variables:  # Keras loads an .h5 file with no variables of a model of layers
            return
        super().build(variables)
        settings = {name: self._config[name] for name in ("parameters", "idle_rows", "guard")}
        self._updates = VariableUpdates(self._optimizer, variables, **settings)
        with tf.init_scope():  # `fit` builds its optimizer while it traces the training step
            self._states = [
                [self._state_variable(value, f"block_{index}_state_{part}") for part, value in enumerate(block)]
                for index, block in enumerate(self._updates.initial_state())
            ]
            watch = enumerate(self._updates.watch(variables))
            self._watch = [self._state_variable(value, f"guard_{index}") for index, value in watch]
            if self._awaited is not None:
                super().set_weights(self._awaited)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all variables; before `build`, as when an .h5 file is loaded, the state as soon as there is any."""
        if self.built:
            super().set_weights(weights)
            return
        self._awaited = tuple(np.array(value) for value in weights)  # they may be of a file that is about to be closed
        for variable, value in zip(self.variables, self._awaited, strict=False):  # those that every optimizer has
            variable.assign(value)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step of one variable; Keras itself updates all together."""
        self._update([gradient], [variable], *self._tensors(), learning_rate)

    def _distributed_tf_update_step(self, distribution: Any, grads_and_vars: Any, learning_rate: Any) -> None:
        """What `apply` calls with all gradients that there are; the strategy calls `_update` for each replica."""
        gradients, variables = ([pair[k] for pair in grads_and_vars] for k in (0, 1))
        arguments = gradients, variables, *self._tensors(), learning_rate
        distribution.extended.update(variables[0], lambda _, *args: self._update(*args), arguments, group=False)
        if self._updates.guard and tf.executing_eagerly():
            self._updates.guard.say(self._watch)

    def _tensors(self) -> tuple[list[list[tf.Variable]], list[tf.Variable]]:
        return [[part.value for part in block] for block in self._states], [part.value for part in self._watch]

    def _update(
        self, gradients: Sequence[Any], variables: Sequence[Any], states: Any, watch: Any, learning_rate: Any
    ) -> None:
        given = {self._get_variable_index(v): (g, v) for g, v in zip(gradients, variables, strict=True)}
        every = [given.get(k, (None, None)) for k in range(len(self._updates.shapes))]
        values = [v.value if isinstance(v, keras.Variable) else v for _, v in every]
        self._updates.apply([gradient for gradient, _ in every], values, learning_rate, states, watch)

    def finalize_variable_values(self, var_list: Any) -> None:
        """What Keras calls at the end of `fit`: says if the guard has intervened."""
        super().finalize_variable_values(var_list)
        if self.built and self._updates.guard:
            self._updates.guard.say(self._watch)

    def get_config(self) -> dict[str, Any]:
        """What makes the same optimizer again, φ included."""
        return {**super().get_config(), **self._config}

    def _state_variable(self, value: tf.Tensor, name: str) -> Any:
        return self.add_variable(value.shape, lambda shape, dtype: value, dtype=value.dtype.name, name=name)


def _as_lists(parameters: Patterns | None) -> str | list[list[str]] | None:
    """The patterns as JSON keeps them."""
    if parameters is None or isinstance(parameters, str):
        return parameters
    return [[entry] if isinstance(entry, str) else list(entry) for entry in parameters]


def _pack(folder: Path) -> dict[str, str]:
    """A trained optimizer's files as text, fit for JSON."""
    load_optimizer(folder)  # raises if it is none
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
