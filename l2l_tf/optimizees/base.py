"""What is optimized: the optimizee f(θ), and how many of them are evaluated at once.

An optimizee is three pure functions of seeds. Whoever adds one writes them for a single problem; `batch_*` below run
them over a leading axis of B problems, which every parameter, problem and seed then carries.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.checks import instance_of, shown
from l2l_tf.errors import InputError

Parameters = dict[str, tf.Tensor]


class Optimizee(ABC):
    """A family of functions f(θ) to be minimized.

    Its methods are traced with `tf.function(autograph=False)`, which shortens tracing. Control flow that depends on a
    tensor's value must therefore be written with `tf.where`, `tf.cond` or `tf.while_loop`, not with `if` or `while`.

    Attributes:
        vectorize: whether `loss` may run under `tf.vectorized_map` over problems, which is faster for small dense
            optimizees. Convolutions are faster one problem after the other.
        compile: whether XLA compiles whole unrolls in meta-training, optimizee and optimizer together, which is faster
            for small dense optimizees and slower for convolutions. `loss` must then draw with `alg="philox"`, or XLA
            would draw other minibatches.
        loss_shape: of what `loss` returns: a scalar, unless it is the losses of several copies at once.
        numbered: whether a problem is one of a finite set instead of a random draw: `problem` then gets [k, 0] for the
            stream's problem number k.
    """

    vectorize: bool = True
    compile: bool = False
    loss_shape: tuple[int, ...] = ()
    numbered: bool = False

    @abstractmethod
    def init(self, seed: tf.Tensor) -> Parameters:
        """Initial parameters θ_0 from a seed (int32 [2]); names say the kind of each tensor: `linear_0/w`."""

    def problem(self, seed: tf.Tensor) -> Any:
        """What tells this problem from others of the family (a quadratic's W and y), from a seed (int32 [2])."""
        del seed
        return ()

    @abstractmethod
    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        """f(θ), a scalar; `seed` (int32 [2]) picks the minibatch."""


def check_optimizee(optimizee: Optimizee) -> Parameters:
    """Runs an optimizee once, so that what it returns wrongly is said in one line instead of far inside a loop.

    Returns:
        θ_0, from seed 0.

    Raises:
        InputError: it is none, or a method does not return what `Optimizee` says.
    """
    instance_of("optimizee", optimizee, Optimizee)
    name, seed = type(optimizee).__name__, tf.zeros([2], tf.int32)
    params = optimizee.init(seed)
    if not isinstance(params, dict) or not params or not all(map(_is_floating, params.values())):
        raise InputError(f"{name}.init must return a dict of floating-point tensors by name, returned {_kind(params)}")
    problem = optimizee.problem(seed)
    for part in tf.nest.flatten(problem):
        if not tf.is_tensor(part) and not isinstance(part, np.ndarray | np.generic):
            raise InputError(f"{name}.problem must return tensors, in tuples or dicts if need be, has {_kind(part)}")
    loss = optimizee.loss(params, problem, seed)
    if not _is_floating(loss):
        raise InputError(f"{name}.loss must return a floating-point tensor, returned {_kind(loss)}")
    if loss.shape.rank != 0:
        raise InputError(f"{name}.loss must return a scalar, has shape {loss.shape.as_list()}")
    return params


def _is_floating(value: Any) -> bool:
    return tf.is_tensor(value) and value.dtype.is_floating


def _kind(value: Any) -> str:
    if tf.is_tensor(value):
        return f"one of {value.dtype.name}"
    return "a dict without any or with others" if isinstance(value, dict) else shown(repr(value))


def _map(function: Callable[[tf.Tensor], Any], seeds: tf.Tensor) -> Any:
    """`function` of each seed, results stacked; a loop in the graph, which stays small however many seeds there are."""
    signature = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), function(seeds[0]))
    return tf.map_fn(function, seeds, fn_output_signature=signature) if tf.nest.flatten(signature) else ()


def _unstack(batched: Any, size: int) -> list[Any]:
    return [tf.nest.map_structure(lambda tensor, i=i: tensor[i], batched) for i in range(size)]


def batch_init(optimizee: Optimizee, seeds: tf.Tensor) -> Parameters:
    """θ_0 of B problems: seeds int32 [B, 2] to parameters [B, ...]."""
    return _map(optimizee.init, seeds)


def batch_problem(optimizee: Optimizee, seeds: tf.Tensor) -> Any:
    """B problems: seeds int32 [B, 2] to tensors [B, ...]."""
    return _map(optimizee.problem, seeds)


def batch_loss(optimizee: Optimizee, params: Parameters, problems: Any, seeds: tf.Tensor) -> tf.Tensor:
    """f(θ) of B problems, [B]; parameters, problems and seeds (int32 [B, 2]) carry the leading axis B."""
    arguments = (params, problems, seeds)
    size = seeds.shape[0]
    if size == 1 or not optimizee.vectorize:
        return tf.stack([optimizee.loss(*one) for one in _unstack(arguments, size)])
    return tf.vectorized_map(lambda one: optimizee.loss(*one), arguments)


def batch_loss_and_gradients(
    optimizee: Optimizee, params: Parameters, problems: Any, seeds: tf.Tensor
) -> tuple[tf.Tensor, Parameters]:
    """f(θ) [B] and ∇f(θ) [B, ...] of B problems. Each problem has its own parameters, so one backward pass does all."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(params)
        losses = batch_loss(optimizee, params, problems, seeds)
    gradients = tape.gradient(losses, params, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return losses, gradients
