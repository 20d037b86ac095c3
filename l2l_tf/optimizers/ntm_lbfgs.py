"""NTM-L-BFGS (appendix D): of what was written to M only the last steps are kept, as vectors."""

from typing import Any

import tensorflow as tf

from l2l_tf.checks import at_least
from l2l_tf.optimizers.base import State
from l2l_tf.optimizers.ntm import NTM


class NTMLBFGS(NTM):
    """M = M_0 + Σ a bᵀ over the last K steps' write vectors, in O(nKW); in the first K steps it is `NTMBFGS`.

    Args:
        history: K.
        **arguments: see `NTM`.
    """

    def __init__(self, history: int = 5, **arguments: Any):
        super().__init__(**arguments)
        self.history = at_least("history", history, 1)

    def initial(self, problems: int, n: int) -> State:
        """Nothing written: a and b [K, W, B, n]."""
        zeros = tf.zeros([self.history, self.write_heads, problems, n], self.dtype)
        return {"a": zeros, "b": zeros}

    def write(self, memory: State, a: tf.Tensor, b: tf.Tensor) -> State:
        """The newest vectors first; the oldest fall out."""
        new = {"a": a, "b": b}
        return {name: tf.concat([new[name][tf.newaxis], memory[name][:-1]], axis=0) for name in new}

    def read(self, memory: State, r: tf.Tensor) -> tf.Tensor:
        """M r for each read head, [R, B, n]."""
        products = tf.einsum("kwbn,rbn->kwrb", memory["b"], r)
        return self.initial_memory * r + tf.einsum("kwrb,kwbn->rbn", products, memory["a"])
