"""NTM-BFGS (appendix D): the controller's memory is a matrix, as BFGS's estimate of the inverse Hessian is."""

import tensorflow as tf

from l2l_tf.errors import InputError
from l2l_tf.optimizers.base import State
from l2l_tf.optimizers.ntm import NTM

LARGEST = 2**26  # entries of M, at most: 256 MiB in float32


class NTMBFGS(NTM):
    """M itself is kept: O(n²) in time and memory; see `NTM` for the arguments."""

    def initial(self, problems: int, n: int) -> State:
        """M_0 [B, n, n].

        Raises:
            InputError: M would be too large.
        """
        if n**2 > LARGEST:
            gib = n**2 * self.dtype.size / 2**30
            raise InputError(
                f"NTMBFGS's M for {n} coordinates would take {gib:.2g} GiB a problem; at most "
                f"{int(LARGEST**0.5)} coordinates are allowed: choose NTMLBFGS"
            )
        return self.initial_memory * tf.eye(n, batch_shape=[problems], dtype=self.dtype)

    def write(self, memory: State, a: tf.Tensor, b: tf.Tensor) -> State:
        """M + Σ a bᵀ, from a and b [W, B, n]."""
        return memory + tf.einsum("wbi,wbj->bij", a, b)

    def read(self, memory: State, r: tf.Tensor) -> tf.Tensor:
        """M r for each read head, [R, B, n]."""
        return tf.einsum("bij,rbj->rbi", memory, r)
