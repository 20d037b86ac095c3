"""One optimizer at many learning rates, by one compiled program: all at once, or on as many threads as cores."""

import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import product
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf import seeds, stages
from l2l_tf.checks import at_least, instance_of
from l2l_tf.optimizees.base import Optimizee, Parameters, batch_init, check_optimizee
from l2l_tf.optimizers import CoordinatewiseOptimizer, CoupledOptimizer, Optimizer, everything
from l2l_tf.optimizers.groups import vector
from l2l_tf.unroll import Optimization, problems_of, rollout
from l2l_tf.xla import compiled

MakeOptimizer = Callable[[Any], Optimizer]


class AtManyRates(Optimizee):
    """R copies of one problem, which differ by their parameters [R, ...] only: its data and minibatch are shared."""

    def __init__(self, optimizee: Optimizee, rates: int):
        self.optimizee = optimizee
        self.rates = rates
        self.vectorize = optimizee.vectorize
        self.loss_shape = (rates,)

    def init(self, seed: tf.Tensor) -> Parameters:
        """The same θ_0, R times."""
        return {name: tf.stack([start] * self.rates) for name, start in self.optimizee.init(seed).items()}

    def problem(self, seed: tf.Tensor) -> Any:
        """The one problem's data."""
        return self.optimizee.problem(seed)

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        """f(θ) of each copy, [R]. Vectorized, a product with the minibatch becomes one batched product for all."""
        if self.rates == 1:
            return self.optimizee.loss({name: copies[0] for name, copies in params.items()}, problem, seed)[None]
        if not self.vectorize:
            each = [{name: copies[r] for name, copies in params.items()} for r in range(self.rates)]
            return tf.stack([self.optimizee.loss(one, problem, seed) for one in each])
        return tf.vectorized_map(lambda one: self.optimizee.loss(one, problem, seed), params)


def rate_curves(
    optimizee: Optimizee,
    make_optimizer: MakeOptimizer,
    rates: Sequence[float],
    seed: int,
    stream: str,
    problems: Iterable[int],
    steps: int,
    batch: int = 32,
) -> np.ndarray:
    """The losses that `Evaluator` gives for each rate in turn, to float32's rounding, in a fraction of the time.

    Problem k of a (seed, stream) has the same θ_0, data and minibatches at every rate. A rate that diverges leaves the
    others unchanged. The compiled program serves later rounds of as many rates again, XLA's those of any number.

    Args:
        make_optimizer: makes a hand-designed optimizer from its learning rate: here a vector [n], one rate for each
            coordinate. The class itself, or a `functools.partial` of it with its constants. A coupled optimizer gets
            one rate [], and runs at one rate after the other.
        rates: learning rates, R of them.
        problems: indices of problems, P of them.
        steps: K, the length of each run.
        batch: how many problems run at once, each at all rates; if the optimizee's losses are not vectorized, how many
            pairs of a problem and a rate. For one that XLA compiles it does not matter: its runs take turns on as many
            threads as there are cores.

    Returns:
        f(θ_0) ... f(θ_K), float32 [R, P, K+1].

    Raises:
        InputError: `steps` or `batch` is below 1, or it is not an optimizer.
    """
    check_optimizee(optimizee)
    at_least("batch", batch, 1)
    run = _program(optimizee, _as_key(make_optimizer), at_least("steps", steps, 1))
    indices = list(problems)
    at_once = len(rates) if optimizee.vectorize else max(1, batch // len(indices))
    if isinstance(make_optimizer(1.0), CoupledOptimizer):
        at_once = 1
    if optimizee.compile:  # one XLA program serves all rounds; it keeps one core busy, with one problem or many
        batch = at_once = 1
    curves = np.empty([len(rates), len(indices), steps + 1], np.float32)

    def fill(p: int, r: int) -> None:
        keys = seeds.problem_keys(seed, stream, indices[p : p + batch])
        losses = run(tf.constant(rates[r : r + at_once], tf.float32), keys)  # [K+1, P, R]
        curves[r : r + at_once, p : p + batch] = losses.numpy().T

    first, *others = product(range(0, len(indices), batch), range(0, len(rates), at_once))
    fill(*first)  # traced by one thread alone
    pool = ThreadPoolExecutor(os.cpu_count() if optimizee.compile else 1)
    try:
        list(pool.map(lambda at: fill(*at), others))
    finally:  # after Ctrl-C too
        pool.shutdown(wait=False, cancel_futures=True)
    return curves


def computed_alone(optimizee: Optimizee) -> bool:
    """Whether `rate_curves` computes each problem at each rate by itself, so that no curve depends on others."""
    return optimizee.compile or not optimizee.vectorize


def _as_key(make_optimizer: MakeOptimizer) -> tuple[Callable[..., Any], tuple[Hashable, ...], frozenset[Any]]:
    """A partial's function and arguments: two that say the same are one key."""
    if not isinstance(make_optimizer, partial):
        return make_optimizer, (), frozenset()
    return make_optimizer.func, make_optimizer.args, frozenset(make_optimizer.keywords.items())


@lru_cache(maxsize=16)
def _program(
    optimizee: Optimizee, constructor: tuple[Callable[..., Any], tuple[Hashable, ...], frozenset[Any]], steps: int
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Rates [R] and keys [P, 4] to losses [K+1, P, R]; traced once for each R and P."""
    function, arguments, keywords = constructor

    def run(rates: tf.Tensor, keys: tf.Tensor, problem: Any, theta: Parameters) -> tf.Tensor:
        copies = AtManyRates(optimizee, rates.shape[0])
        coupled = isinstance(function(*arguments, 1.0, **dict(keywords)), CoupledOptimizer)
        rate = rates[0] if coupled else _of_coordinates(rates, theta)
        hand_designed = function(*arguments, rate, **dict(keywords))
        instance_of("make_optimizer", hand_designed, CoordinatewiseOptimizer, CoupledOptimizer)
        optimizer = everything(hand_designed)
        begin = Optimization(keys, problem, theta, optimizer.init(theta, keys.shape[0]))
        return rollout(copies, optimizer, begin, tf.constant(0), steps, record=False).losses

    run = compiled(run) if optimizee.compile else tf.function(run, autograph=False)

    @tf.function(autograph=False)
    def start(rates: tf.Tensor, keys: tf.Tensor) -> tuple[Any, Parameters]:  # by XLA θ_0 would be another one
        problem = problems_of(optimizee, keys)
        copies = AtManyRates(optimizee, rates.shape[0])
        return problem, batch_init(copies, seeds.stateless_seed(keys[:, seeds.INIT], 0))

    def curves(rates: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return stages.call(run, rates, keys, *stages.call(start, rates, keys, xla=False), xla=optimizee.compile)

    return curves


def _of_coordinates(rates: tf.Tensor, params: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The rate of each coordinate of parameters [P, R, ...], in the order in which an optimizer sees them: [n]."""
    spread = {
        name: tf.broadcast_to(tf.reshape(rates, [1, -1] + [1] * (tensor.shape.rank - 2)), tensor.shape)
        for name, tensor in params.items()
    }
    return vector(spread)
