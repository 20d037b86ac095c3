"""What NTM-BFGS and NTM-L-BFGS (appendix D) have in common: a controller with read and write heads on a matrix M."""

from abc import abstractmethod
from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf

from l2l_tf.checks import at_least, one_of, positive
from l2l_tf.optimizers.base import CoupledOptimizer, State
from l2l_tf.optimizers.controllers import Controller, LSTMController, features
from l2l_tf.optimizers.lstm import DTYPES
from l2l_tf.optimizers.preprocessing import Preprocessing, identity_unless

MOST_HEADS = 64


@snt.allow_empty_variables  # a controller written by hand has none
class NTM(snt.Module, CoupledOptimizer):
    """Every coordinate runs the controller; its heads read from and write to M [n, n].

    One step: the controller sees ∇_t and what was read in the step before, i_1 ... i_R; it puts out the update and, for
    each coordinate, r of each of R read heads, a and b of each of W write heads. Then

        M ← M + Σ_w a_w b_wᵀ   and   i_k = M r_k,

    which the controller sees in the next step. M_0 is a multiple of the identity, fixed, not learned.

    Args:
        layers: hidden units of each of the controller's LSTM layers.
        averaging: how many of each layer's cells are global averaging cells.
        read_heads, write_heads: R and W; 1 and 3 in the paper's remark on BFGS.
        initial_memory: M_0 is so many times the identity.
        preprocessing: of the gradients and of what was read.
        output_scale: of the proposed update.
        write_scale: of what is written: multiplies a.
        output_deviation: multiplies the output layer's initial weights.
        seed: decides φ's initial value.
        dtype: of φ and of the state.
        controller: another controller than the LSTM, one written by hand, say: of inputs [features · (1 + R), B, n] and
            outputs [1 + R + 2W, B, n].
    """

    def __init__(
        self,
        layers: Sequence[int] = (20, 20),
        averaging: int = 5,
        read_heads: int = 1,
        write_heads: int = 3,
        initial_memory: float = 1.0,
        preprocessing: Preprocessing | None = None,
        output_scale: float = 1.0,
        write_scale: float = 1.0,
        output_deviation: float = 1.0,
        seed: int = 0,
        dtype: str = "float32",
        controller: Controller | None = None,
    ):
        super().__init__(name="ntm")
        self.preprocessing = identity_unless(preprocessing)
        self.read_heads = at_least("read_heads", read_heads, 1, MOST_HEADS)
        self.write_heads = at_least("write_heads", write_heads, 1, MOST_HEADS)
        self.initial_memory = at_least("initial_memory", initial_memory, 0.0)
        self.output_scale = positive("output_scale", output_scale)
        self.write_scale = positive("write_scale", write_scale)
        self.dtype = tf.as_dtype(one_of("dtype", dtype, DTYPES))
        inputs, outputs = self.preprocessing.features * (1 + read_heads), 1 + read_heads + 2 * write_heads
        self.controller = controller or LSTMController(
            inputs, layers, outputs, averaging, output_deviation, seed, dtype
        )

    def init(self, coordinates: tf.Tensor) -> State:
        """The controller's state, M_0, and nothing read yet."""
        problems, n = coordinates.shape
        return {
            "controller": self.controller.init(problems, n),
            "memory": self.initial(problems, n),
            "read": tf.zeros([self.read_heads, problems, n], self.dtype),
        }

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Equation 3 for all coordinates of B problems."""
        seen = [gradients, *tf.unstack(state["read"])]
        inputs = tf.concat([features(self.preprocessing, vectors) for vectors in seen], axis=0)
        outputs, controller = self.controller(inputs, state["controller"])
        g, r, a, b = tf.split(outputs, [1, self.read_heads, self.write_heads, self.write_heads], axis=0)
        memory = self.write(state["memory"], self.write_scale * a, b)
        return self.output_scale * g[0], {"controller": controller, "memory": memory, "read": self.read(memory, r)}

    @abstractmethod
    def initial(self, problems: int, n: int) -> State:
        """M_0 of each of B = `problems`."""

    @abstractmethod
    def write(self, memory: State, a: tf.Tensor, b: tf.Tensor) -> State:
        """M + Σ a bᵀ, from a and b [W, B, n]."""

    @abstractmethod
    def read(self, memory: State, r: tf.Tensor) -> tf.Tensor:
        """M r for each read head, [R, B, n]."""
