"""The released code's kernel LSTM (`KernelDeepLSTM`) for convolution filters: one LSTM a kernel, not a coordinate."""

from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf

from l2l_tf.checks import at_least, positive, shown
from l2l_tf.errors import InputError
from l2l_tf.optimizers.base import CoupledOptimizer, State
from l2l_tf.optimizers.controllers import LSTMController
from l2l_tf.optimizers.preprocessing import Preprocessing, identity_unless

LARGEST_KERNEL = 2**10


class KernelLSTM(snt.Module, CoupledOptimizer):
    """g = scale · (W · LSTM(preprocess(∇)) + b) for each kernel of a convolution's filters [*kernel, inputs, outputs].

    The LSTM sees all k = height · width coordinates of one kernel, that of one input and one output channel, and puts
    out their k updates. All kernels share φ, each has a state of its own. In `ParameterGroups` every convolution's
    filters need a group of their own, such as `conv_0/w`: laid end to end kernels could not be told apart.

    Args:
        kernel: the kernel's shape, [5, 5] say.
        layers: hidden units of each LSTM layer.
        preprocessing: of the gradients.
        output_scale: of the proposed update.
        output_deviation: multiplies the output layer's initial weights.
        seed: decides φ's initial value.
        dtype: of φ and of the state.
    """

    def __init__(
        self,
        kernel: Sequence[int] = (5, 5),
        layers: Sequence[int] = (20, 20),
        preprocessing: Preprocessing | None = None,
        output_scale: float = 1.0,
        output_deviation: float = 1.0,
        seed: int = 0,
        dtype: str = "float32",
    ):
        super().__init__(name="kernel_lstm")
        if isinstance(kernel, str) or not isinstance(kernel, Sequence) or not kernel:
            raise InputError(f"kernel={shown(kernel)}: must be a list of the kernel's height and width")
        self.coordinates = 1
        for length in kernel:
            self.coordinates *= at_least("kernel", length, 1, LARGEST_KERNEL)
        at_least("kernel: height times width", self.coordinates, 1, LARGEST_KERNEL)
        self.preprocessing = identity_unless(preprocessing)
        self.output_scale = positive("output_scale", output_scale)
        inputs = self.coordinates * self.preprocessing.features
        self.controller = LSTMController(inputs, layers, self.coordinates, 0, output_deviation, seed, dtype)

    def init(self, coordinates: tf.Tensor) -> State:
        """h = c = 0 for each layer: [size, B · kernels] each.

        Raises:
            InputError: the coordinates do not make up whole kernels.
        """
        problems, n = coordinates.shape
        if n % self.coordinates:
            raise InputError(f"kernel: {n} coordinates are no whole number of kernels of {self.coordinates}")
        return self.controller.init(problems, n // self.coordinates)

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Equation 3 for the filters [B, n] of one convolution."""
        problems, n = gradients.shape
        shape = [-1, problems, n // self.coordinates]
        kernels = tf.transpose(tf.reshape(gradients, [problems, self.coordinates, -1]), [1, 0, 2])
        inputs = tf.reshape(self.preprocessing(tf.reshape(kernels, [-1])), shape)
        outputs, state = self.controller(inputs, state)
        return self.output_scale * tf.reshape(tf.transpose(outputs, [1, 0, 2]), [problems, n]), state
