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
    """B optimizations under way: B problems, their keys (int32 [B, 4]), parameters [B, ...], the optimizer's state."""

    keys: tf.Tensor
    problem: Any
    params: Parameters
    state: State


class Step(NamedTuple):
    """What one step computes: f(θ_t) [B], ∇_t and g_t [B, ...], and the optimization at θ_{t+1}, h_{t+1}."""

    losses: tf.Tensor
    gradients: Parameters
    updates: Parameters
    after: Optimization


class Trajectory(NamedTuple):
    """What T steps leave behind: f(θ_t) [T+1, B]; if recorded, ∇_t [T+1, B, ...]; if kept, h_0 ... h_{T-1} [T, ...]."""

    losses: tf.Tensor
    gradients: Parameters
    end: Optimization
    states: State = ()


def start(optimizee: Optimizee, optimizer: ParameterGroups, keys: tf.Tensor) -> Optimization:
    """θ_0 and h_0 for the problems with these keys (int32 [B, 4])."""
    problem = problems_of(optimizee, keys)
    params = batch_init(optimizee, seeds.stateless_seed(keys[:, seeds.INIT], 0))
    return Optimization(keys, problem, params, optimizer.init(params, keys.shape[0]))


def minibatch_seeds(now: Optimization, number: tf.Tensor) -> tf.Tensor:
    """Seeds of step `number`'s minibatches, int32 [B, 2]."""
    return seeds.stateless_seed(now.keys[:, seeds.MINIBATCH], number)


def losses_and_gradients(optimizee: Optimizee, now: Optimization, number: tf.Tensor) -> tuple[tf.Tensor, Parameters]:
    """f(θ_t) [B] and ∇_t [B, ...] on step `number`'s minibatches."""
    return batch_loss_and_gradients(optimizee, now.params, now.problem, minibatch_seeds(now, number))


def step(
    optimizee: Optimizee,
    optimizer: ParameterGroups,
    now: Optimization,
    number: tf.Tensor,
    constant_gradients: bool = False,
) -> Step:
    """Equation 3: [g_t, h_{t+1}] = m(∇_t, h_t, φ) with ∇_t = ∂f(θ_t)/∂θ, and θ_{t+1} = θ_t + g_t.

    Args:
        number: t, int32, within the whole optimization; it decides the minibatches.
        constant_gradients: whether ∇_t counts as a constant when this is differentiated: the paper's ∂∇_t/∂φ = 0.
    """
    losses, gradients = losses_and_gradients(optimizee, now, number)
    if constant_gradients:
        gradients = tf.nest.map_structure(tf.stop_gradient, gradients)
    updates, state = optimizer.update(gradients, now.state, now.keys.shape[0])
    params = {name: now.params[name] + updates[name] for name in now.params}
    return Step(losses, gradients, updates, now._replace(params=params, state=state))


def problems_of(optimizee: Optimizee, keys: tf.Tensor) -> Any:
    """The problems with these keys (int32 [B, 4]): drawn, or the numbered ones of a finite set."""
    which = seeds.NUMBER if optimizee.numbered else seeds.PROBLEM
    return batch_problem(optimizee, seeds.stateless_seed(keys[:, which], 0))


def rollout(
    optimizee: Optimizee,
    optimizer: ParameterGroups,
    begin: Optimization,
    first_step: tf.Tensor,
    steps: int,
    record: bool,
    keep_states: bool = False,
) -> Trajectory:
    """Runs T = `steps` steps of equation 3.

    Args:
        first_step: number of the first step within the whole optimization, int32; it decides the minibatches.
        record: whether to keep the gradients, which a replay needs.
        keep_states: whether to keep h_0 ... h_{T-1}, so that a replay need not compute them again.
    """

    def array(like: tf.Tensor, size: int = steps + 1) -> tf.TensorArray:
        return tf.TensorArray(like.dtype, size, element_shape=like.shape)

    def kept(state: State) -> State:
        return state if keep_states else ()

    probe = next(iter(begin.params.values()))
    losses = tf.TensorArray(probe.dtype, steps + 1, element_shape=[*probe.shape[:1], *optimizee.loss_shape])
    recorded = {name: array(tensor) for name, tensor in begin.params.items()} if record else {}
    states = tf.nest.map_structure(lambda h: array(h, steps), kept(begin.state))

    def body(t: tf.Tensor, params: Parameters, state: State, losses: Any, recorded: Any, states: Any) -> Any:
        states = tf.nest.map_structure(lambda array, h: array.write(t, h), states, kept(state))
        one = step(optimizee, optimizer, begin._replace(params=params, state=state), first_step + t)
        recorded = {name: array.write(t, one.gradients[name]) for name, array in recorded.items()}
        return t + 1, one.after.params, one.after.state, losses.write(t, one.losses), recorded, states

    loop = (tf.constant(0), begin.params, begin.state, losses, recorded, states)
    t, params, state, losses, recorded, states = tf.while_loop(
        lambda t, *_: t < steps, body, loop, maximum_iterations=steps, parallel_iterations=1
    )
    end = begin._replace(params=params, state=state)
    loss, gradients = losses_and_gradients(optimizee, end, first_step + t)
    gradients = {name: array.write(t, gradients[name]).stack() for name, array in recorded.items()}
    states = tf.nest.map_structure(lambda array: array.stack(), states)
    return Trajectory(losses.write(t, loss).stack(), gradients, end, states)


def compiled_rollout(optimizee: Optimizee) -> Callable[..., Trajectory]:
    """`rollout`, by XLA as one program if the optimizee is one for which that pays."""
    return compiled(rollout) if optimizee.compile else rollout


def advance(
    optimizee: Optimizee, optimizer: ParameterGroups, begin: Optimization, first_step: tf.Tensor, steps: int
) -> Optimization:
    """Where T = `steps` steps lead from `begin`; see `rollout`."""
    return compiled_rollout(optimizee)(optimizee, optimizer, begin, first_step, steps, record=False).end
