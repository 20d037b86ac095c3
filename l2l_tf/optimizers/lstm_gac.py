"""LSTM+GAC (appendix D): the coordinatewise LSTM with global averaging cells."""

from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf

from l2l_tf.checks import positive
from l2l_tf.optimizers.base import CoupledOptimizer, State
from l2l_tf.optimizers.controllers import LSTMController, features
from l2l_tf.optimizers.preprocessing import Preprocessing, identity_unless


class LSTMGAC(snt.Module, CoupledOptimizer):
    """g_t = scale · (w · LSTM(preprocess(∇_t)) + b), some cells of each layer averaged over all coordinates.

    Enough to clip gradients by their L2 norm, say, if each LSTM can square its gradient (appendix D).

    Args:
        layers: hidden units of each LSTM layer.
        averaging: how many of each layer's cells are global averaging cells; 0 is `CoordinatewiseLSTM`.
        preprocessing: of the gradients.
        output_scale: of the proposed update.
        output_deviation: multiplies the output layer's initial weights.
        seed: decides φ's initial value.
        dtype: of φ and of the state.
    """

    def __init__(
        self,
        layers: Sequence[int] = (20, 20),
        averaging: int = 5,
        preprocessing: Preprocessing | None = None,
        output_scale: float = 1.0,
        output_deviation: float = 1.0,
        seed: int = 0,
        dtype: str = "float32",
    ):
        super().__init__(name="lstm_gac")
        self.preprocessing = identity_unless(preprocessing)
        self.output_scale = positive("output_scale", output_scale)
        inputs = self.preprocessing.features
        self.controller = LSTMController(inputs, layers, 1, averaging, output_deviation, seed, dtype)

    def init(self, coordinates: tf.Tensor) -> State:
        """h = c = 0 for each layer: [size, B · n] each."""
        return self.controller.init(*coordinates.shape)

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Equation 3 for all coordinates of B problems."""
        outputs, state = self.controller(features(self.preprocessing, gradients), state)
        return self.output_scale * outputs[0], state
