"""Running an optimizer on optimizees: equation 3, step after step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from l2l_tf import seeds
from l2l_tf.optimizees.base import Optimizee, Parameters, batch_init, batch_loss_and_gradients, batch_problem
from l2l_tf.optimizers.base import State
from l2l_tf.optimizers.groups import ParameterGroups
from l2l_tf.xla import compiled


class Optimization(NamedTuple):
    """B optimizations under way: B problems, their keys (int32 [B, 3]), parameters [B, ...], the optimizer's state."""

    keys: tf.Tensor
    problem: Any
    params: Parameters
    state: State


class Trajectory(NamedTuple):
    """What T steps left behind: f(θ_t) [T+1, B]; if recorded, ∇_t [T+1, B, ...]; if kept, h_0 ... h_{T-1} [T, ...]."""

    losses: tf.Tensor
    gradients: Parameters
    end: Optimization
    states: State = ()


def start(optimizee: Optimizee, optimizer: ParameterGroups, keys: tf.Tensor) -> Optimization:
    """θ_0 and h_0 for the problems with these keys (int32 [B, 3])."""
    problem = batch_problem(optimizee, seeds.stateless_seed(keys[:, seeds.PROBLEM], 0))
    params = batch_init(optimizee, seeds.stateless_seed(keys[:, seeds.INIT], 0))
    return Optimization(keys, problem, params, optimizer.init(params))


def rollout(
    optimizee: Optimizee,
    optimizer: ParameterGroups,
    begin: Optimization,
    first_step: tf.Tensor,
    steps: int,
    record: bool,
    keep_states: bool = False,
) -> Trajectory:
    """Runs T = `steps` steps: ∇_t = ∂f(θ_t)/∂θ, [g_t, h_{t+1}] = m(∇_t, h_t, φ), θ_{t+1} = θ_t + g_t.

    Args:
        first_step: number of the first step within the whole optimization, int32; it decides the minibatches.
        record: whether to keep the gradients, which the replay needs.
        keep_states: whether to keep h_0 ... h_{T-1}, which spare an exact replay its way forward.
    """
    keys, problem, params, state = begin

    def evaluate(params: Parameters, step: tf.Tensor) -> tuple[tf.Tensor, Parameters]:
        minibatch = seeds.stateless_seed(keys[:, seeds.MINIBATCH], first_step + step)
        return batch_loss_and_gradients(optimizee, params, problem, minibatch)

    def array(like: tf.Tensor, size: int = steps + 1) -> tf.TensorArray:
        return tf.TensorArray(like.dtype, size, element_shape=like.shape)

    def kept(state: State) -> State:
        return state if keep_states else ()

    probe = next(iter(params.values()))
    losses = tf.TensorArray(probe.dtype, steps + 1, element_shape=[*probe.shape[:1], *optimizee.loss_shape])
    recorded = {name: array(tensor) for name, tensor in params.items()} if record else {}
    states = tf.nest.map_structure(lambda h: array(h, steps), kept(state))

    def body(step: tf.Tensor, params: Parameters, state: State, losses: Any, recorded: Any, states: Any) -> Any:
        loss, gradients = evaluate(params, step)
        states = tf.nest.map_structure(lambda array, h: array.write(step, h), states, kept(state))
        updates, state = optimizer.update(gradients, state)
        params = {name: params[name] + updates[name] for name in params}
        recorded = {name: array.write(step, gradients[name]) for name, array in recorded.items()}
        return step + 1, params, state, losses.write(step, loss), recorded, states

    loop = (tf.constant(0), params, state, losses, recorded, states)
    step, params, state, losses, recorded, states = tf.while_loop(
        lambda step, *_: step < steps, body, loop, maximum_iterations=steps, parallel_iterations=1
    )
    loss, gradients = evaluate(params, step)
    gradients = {name: array.write(step, gradients[name]).stack() for name, array in recorded.items()}
    states = tf.nest.map_structure(lambda array: array.stack(), states)
    return Trajectory(losses.write(step, loss).stack(), gradients, Optimization(keys, problem, params, state), states)


def compiled_rollout(optimizee: Optimizee) -> Callable[..., Trajectory]:
    """`rollout`, by XLA as one program if the optimizee is one for which that pays."""
    return compiled(rollout) if optimizee.compile else rollout
