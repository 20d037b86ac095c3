"""`MomentumMLP`: a learned optimizer for models it has never seen, which cannot explode.

It is ADAM with three constants made into a small network's outputs: which momenta to follow, how fast, and when. The
inputs are Lv et al.'s (2017, `RNNprop`): gradients and momenta over the root of their second moment; momenta of several
decays and a feed-forward network are those of Metz et al. (2022, "Practical tradeoffs between memory, compute, and
performance in learned optimizers").
"""

from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf

from l2l_tf import seeds
from l2l_tf.checks import at_least, below_one, positive
from l2l_tf.optimizers.activations import tanh
from l2l_tf.optimizers.base import CoordinatewiseOptimizer, State

TINY = 1e-18  # below any squared gradient that matters; keeps 0/0 from happening
SCALE = 5.0  # normalized momenta are clipped here
GROWTH_BEGINS, GROWTH_ENDS = 50.0, 1000.0  # steps
VANISHED = 0.003  # of the largest squared gradient so far; set by hand, 0 and 0.01 were tried


class MomentumMLP(snt.Module, CoordinatewiseOptimizer):
    """Steps along a mixture of normalized momenta, mixture and rate given by an MLP for each coordinate.

        m_k ← β_k m_k + (1 − β_k) ∇,   v_j ← γ_j v_j + (1 − γ_j) ∇²,   x_k = clip(m̂_k / √v̂, ±5)
        (a, w) = MLP(statistics of x, of v̂'s change, and t)
        g = −η · exp(r tanh(a)) · Σ_k tanh(w_k) x_k

    The MLP sees nothing that changes when all gradients change their sign, so that g is odd in them: no drift where
    gradients are zero on average (`OddLSTM`). Nor does it see their size, so that g stays the same when the loss is
    multiplied by a constant. |g| is bounded by 5 η e^r times the number of momenta.

    Truncated unrolls teach rates that decay too soon (Wu et al., 2018, "Understanding short-horizon bias in stochastic
    meta-optimization"). Against it, once trained, g may be multiplied by

        (1 + min(t, 1000) / 50)^(p c),   c = v̂_0 / (v̂_0 + 0.003 max v̂_0)

    where v̂_0 is the fastest second moment: c is near 1, and near 0 where gradients have vanished, since larger steps do
    harm there.

    Args:
        decays: β_k; m_0, with decay 0, is the gradient itself and comes first.
        second_decays: γ_j; the slowest normalizes, √v̂ being its root.
        hidden: units of the MLP's hidden layers (ReLU).
        learning_rate: η: at first, the optimizer is ADAM with this rate (and a bounded step).
        rate_range: r, how far the rate may go from η, as a logarithm.
        growth: p; |g|'s bound grows with it, to 21^p times as much. 0: not at all.
        seed: decides φ's initial value.
        block_size: how many coordinates to update at once.

    Raises:
        InputError: an argument out of its range.
    """

    def __init__(
        self,
        decays: Sequence[float] = (0.5, 0.9, 0.99, 0.999),
        second_decays: Sequence[float] = (0.9, 0.999),
        hidden: Sequence[int] = (16, 16),
        learning_rate: float = 3e-3,
        rate_range: float = 4.0,
        growth: float = 0.0,
        seed: int = 0,
        block_size: int = 16384,
    ):
        super().__init__(name="momentum_mlp")
        self.decays = tf.constant([[below_one("decays", beta)] for beta in decays])
        self.second_decays = tf.constant([[below_one("second_decays", gamma)] for gamma in second_decays])
        self.learning_rate = positive("learning_rate", learning_rate)
        self.rate_range = at_least("rate_range", rate_range, 0.0)
        self.growth = at_least("growth", growth, 0.0)
        self.block_size = at_least("block_size", block_size, 1)
        momenta = 1 + len(decays)
        sizes = [at_least("hidden", size, 1) for size in hidden]
        inputs = [2 * momenta - 1 + len(second_decays), *sizes]  # see `_mlp`
        draws = seeds.weight_seeds(seed, len(sizes))
        self.weights = [
            tf.Variable(
                tf.random.stateless_truncated_normal([size, inputs[k]], draws[k]) * (2 / inputs[k]) ** 0.5,
                name=f"w_{k + 1}",
            )
            for k, size in enumerate(sizes)
        ]
        self.biases = [tf.Variable(tf.zeros([size, 1]), name=f"b_{k + 1}") for k, size in enumerate(sizes)]
        self.w_output = tf.Variable(tf.zeros([1 + momenta, sizes[-1]]), name="w_output")
        first = [[0.0], [0.0], *([1.0 if beta == 0.9 else 0.0] for beta in decays)]
        self.b_output = tf.Variable(first, name="b_output")

    def init(self, coordinates: tf.Tensor) -> State:
        """m = 0 [momenta, n], v = 0 [second moments, n], t = 0; with growth max v̂_0 = 0 [n], too."""
        n = tf.size(coordinates)
        kept = self.decays.shape[0], self.second_decays.shape[0]
        state = {"m": tf.zeros([kept[0], n]), "v": tf.zeros([kept[1], n]), "t": tf.zeros([])}
        return {**state, "largest": tf.zeros([n])} if self.growth else state

    def update(self, gradients: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Equation 3 for a vector of coordinates."""
        t = state["t"] + 1.0
        m = self.decays * state["m"] + (1.0 - self.decays) * gradients
        v = self.second_decays * state["v"] + (1.0 - self.second_decays) * gradients**2
        v_hat = v / (1.0 - self.second_decays**t) + TINY
        momenta = tf.concat([gradients[tf.newaxis], m / (1.0 - self.decays**t)], axis=0)
        x = tf.clip_by_value(momenta * tf.math.rsqrt(v_hat[-1]), -SCALE, SCALE)
        output = self._mlp(x, tf.math.log(v_hat), t)
        rate = self.learning_rate * tf.exp(self.rate_range * tanh(output[0]))
        update, new = -rate * tf.reduce_sum(tanh(output[1:]) * x, axis=0), {"m": m, "v": v, "t": t}
        if not self.growth:
            return update, new
        largest = tf.maximum(state["largest"], v_hat[0])
        return update * self._growth(v_hat[0] / largest, t), {**new, "largest": largest}

    def _growth(self, relative: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        """What updates are multiplied by once trained [n], from v̂_0 / max v̂_0 [n] and the step's number."""
        present = relative / (relative + VANISHED)
        return tf.exp(self.growth * present * tf.math.log1p(tf.minimum(t, GROWTH_ENDS) / GROWTH_BEGINS))

    def _mlp(self, x: tf.Tensor, log_v: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        """(a, w) from sizes of momenta, agreement of neighbours, how the gradients' size changed, and a clock.

        The size itself is left out: gradients are small where a tensor is scaled down and where a network is wide, and
        the first asks for larger updates, the second does not.

        One product for each kind of statistic: joining them first would take longer than the rest.
        """
        product = x[1:] * x[:-1]
        statistics = (
            tf.abs(x) / (tf.abs(x) + 0.3),
            product / (tf.abs(product) + 0.1),
            tf.clip_by_value(log_v[:-1] - log_v[-1:], -SCALE, SCALE),
        )
        *of_statistics, of_clock = tf.split(self.weights[0], [*(s.shape[0] for s in statistics), 1], axis=1)
        hidden = self.biases[0] + of_clock * (tf.math.log(t) / 4.0 - 1.0)
        for w, statistic in zip(of_statistics, statistics, strict=True):
            hidden += w @ statistic
        hidden = tf.nn.relu(hidden)
        for w, b in zip(self.weights[1:], self.biases[1:], strict=True):
            hidden = tf.nn.relu(w @ hidden + b)
        return self.w_output @ hidden + self.b_output
