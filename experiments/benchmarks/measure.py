"""Measuring meta-steps: what is optimized, by which method, how long it takes and how much memory.

Every measurement runs in a process of its own under a memory limit, so that a method that runs out of memory is
reported as such; methods that are compared are timed in one process, in turns.
"""

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from experiments.benchmarks.memory import limit_memory, peak_memory
from l2l_tf import seeds
from l2l_tf.data import Images
from l2l_tf.meta import Replay
from l2l_tf.meta.autodiff import AutodiffMetaGradient
from l2l_tf.meta.base import Unroll
from l2l_tf.meta.replay import ReplayMetaGradient
from l2l_tf.optimizees import Optimizee, Parameters, Quadratic, SonnetClassifier, convnet, mlp
from l2l_tf.optimizers import SGD, CoordinatewiseLSTM, Identity, LogAndSign, ParameterGroups, everything
from l2l_tf.optimizers.activations import sigmoid, tanh
from l2l_tf.unroll import Optimization, compiled_rollout, start
from l2l_tf.xla import compiled

# autodiff: plain automatic differentiation; floor: the optimizer's matrix products alone; gates: its sigmoids and tanhs
# alone; optimizee: its gradients alone.
METHODS = ("autodiff", "exact", "sampled", "rollout", "optimizee", "floor", "gates")


# What is optimized.


class Coordinates(Optimizee):
    """f(θ) = mean θ², as many coordinates as wanted at next to no cost of its own."""

    def __init__(self, count: int):
        self.count = count

    def init(self, seed: tf.Tensor) -> Parameters:
        """θ_0, IID Gaussian."""
        return {"x": tf.random.stateless_normal([self.count], seed)}

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        """Mean θ²."""
        del problem, seed
        return tf.reduce_mean(params["x"] ** 2)


def random_images(size: int, channels: int) -> Images:
    """1,000 images of noise: what they show makes no difference to the cost."""
    generator = np.random.default_rng(0)
    images = generator.integers(256, size=[1000, size, size, channels], dtype=np.uint8)
    return Images(images, generator.integers(10, size=1000).astype(np.int32))


# Each optimizee and how many problems of it are solved at once.
OPTIMIZEES: Mapping[str, tuple[Callable[[], Optimizee], int]] = {
    "quadratics": (partial(Quadratic, 10), 128),
    "MNIST net": (lambda: SonnetClassifier(mlp, random_images(28, 1), compile=True), 1),
    "CIFAR-10 net": (lambda: SonnetClassifier(convnet, random_images(32, 3), arguments={"is_training": True}), 1),
    "1,000,000-parameter net": (lambda: SonnetClassifier(partial(mlp, units=1258), random_images(28, 1)), 1),
}


def make_optimizee(name: str) -> tuple[Optimizee, int]:
    """An optimizee of `OPTIMIZEES` or, for a number, so many `Coordinates`; and how many problems at once."""
    make, problems = OPTIMIZEES[name] if name in OPTIMIZEES else (partial(Coordinates, int(name)), 1)
    return make(), problems


def make_lstm(optimizee: str, layers: Sequence[int], **arguments: Any) -> ParameterGroups:
    """The paper's optimizer for it, untrained."""
    if optimizee == "quadratics":
        return everything(CoordinatewiseLSTM(layers, Identity(), **arguments))
    return everything(CoordinatewiseLSTM(layers, LogAndSign(), output_scale=0.1, **arguments))


# What is measured.


@dataclass(frozen=True)
class Job:
    """One measurement: meta-steps of T = `steps` steps on an optimizee, by each of the methods in turn."""

    optimizee: str
    layers: tuple[int, ...]
    steps: int
    fraction: float
    repeats: int
    methods: tuple[str, ...]


def methods(job: Job) -> dict[str, Callable[[], Any]]:
    """The methods of a job, each as a function that runs it once."""
    optimizee, problems = make_optimizee(job.optimizee)
    keys = seeds.problem_keys(0, "train", range(problems))
    optimizer, sgd = make_lstm(job.optimizee, job.layers), everything(SGD(1e-9))
    begin, begin_sgd = (start(optimizee, one, keys) for one in (optimizer, sgd))
    count = sum(int(tf.size(tensor)) for tensor in begin.params.values())
    in_one = make_lstm(job.optimizee, job.layers, block_size=count)  # the plain way knows nothing of blocks
    begin_in_one = begin._replace(state=in_one.init(begin.params))
    weights, first, seed = tf.ones([job.steps]), tf.constant(0), tf.constant([0, 1])
    roll = compiled_rollout(optimizee)

    def by_autodiff(begin: Optimization) -> Any:
        return AutodiffMetaGradient(optimizee, in_one)(Unroll(begin, first, weights, seed)).gradient

    def by_replay(begin: Optimization, fraction: float) -> Any:
        method = ReplayMetaGradient(optimizee, optimizer, replay=Replay(fraction=fraction))
        return method(Unroll(begin, first, weights, seed)).gradient

    def forward(begin: Optimization, optimizer: ParameterGroups) -> Any:
        return roll(optimizee, optimizer, begin, first, job.steps, record=False).losses

    functions: dict[str, Callable[[], Any]] = {
        "autodiff": partial(tf.function(by_autodiff, autograph=False), begin_in_one),
        "exact": partial(tf.function(partial(by_replay, fraction=1.0), autograph=False), begin),
        "sampled": partial(tf.function(partial(by_replay, fraction=job.fraction), autograph=False), begin),
        "rollout": partial(tf.function(partial(forward, optimizer=optimizer), autograph=False), begin),
        "optimizee": partial(tf.function(partial(forward, optimizer=sgd), autograph=False), begin_sgd),
    }
    if "floor" in job.methods:
        functions["floor"] = matrix_products(optimizer, count, job.steps)
    if "gates" in job.methods:
        functions["gates"] = gates(optimizer, count, job.steps)
    return {name: functions[name] for name in job.methods}


def matrix_products(optimizer: ParameterGroups, count: int, steps: int) -> Callable[[], Any]:
    """The floor: only the matrix products of rollout (G = WX) and backward pass (G = WX, dX = Wᵀ dG, dW = dG Xᵀ)."""
    lstm = optimizer.groups[0].optimizer
    shapes = [w.shape for w in lstm.trainable_variables if w.shape[1] > 1]
    sizes = [block.shape[0] for block in optimizer.groups[0].split(tf.zeros([count]))]
    # Other weights at each step, or else a product would not depend on the step and might be computed only once.
    weights = [tf.random.stateless_normal([2 * steps, *shape], [0, k]) for k, shape in enumerate(shapes)]
    inputs = [[tf.ones([columns, n]) for _, columns in shapes] for n in sizes]
    outputs = [[tf.ones([rows, n]) for rows, _ in shapes] for n in sizes]

    def product(w: tf.Tensor, x: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        return w @ x

    def vector_jacobian(w: tf.Tensor, x: tf.Tensor, g: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.matmul(w, g, transpose_a=True), tf.matmul(g + w[:, :1], x, transpose_b=True)

    def loop(compute: Callable[..., Any], count: int, inputs: Any, outputs: Any) -> Any:
        def body(step: tf.Tensor, _: Any) -> Any:
            blocks = zip(inputs, outputs, strict=True)
            return step + 1, [[compute(w[step], *xg) for w, *xg in zip(weights, *b, strict=True)] for b in blocks]

        found = body(tf.constant(0), None)
        return tf.while_loop(lambda step, _: step < count, body, found, maximum_iterations=count)[1]

    @tf.function(autograph=False)
    def compute(inputs: Any, outputs: Any) -> Any:
        return loop(product, 2 * steps, inputs, outputs), loop(vector_jacobian, steps, inputs, outputs)

    return partial(compute, inputs, outputs)


def gates(optimizer: ParameterGroups, count: int, steps: int) -> Callable[[], Any]:
    """All sigmoids and tanhs of rollout and backward pass, which computes each step again, and nothing else."""
    lstm = optimizer.groups[0].optimizer
    assert isinstance(lstm, CoordinatewiseLSTM)
    blocks = optimizer.groups[0].split(tf.zeros([count]))
    shapes = [(layer.size, block.shape[0]) for block in blocks for layer in lstm.layers]
    begin = [(tf.ones([3 * size, n]), tf.ones([2 * size, n])) for size, n in shapes]  # i, f and o; j and c

    def body(step: tf.Tensor, values: Any) -> Any:
        return step + 1, [(sigmoid(gates), tanh(others)) for gates, others in values]

    def compute(values: Any) -> Any:
        loop = (tf.constant(0), values)
        return tf.while_loop(lambda step, _: step < 2 * steps, body, loop, maximum_iterations=2 * steps)[1]

    return partial(compiled(compute), begin)


def median_seconds(functions: Mapping[Any, Callable[[], Any]], repeats: int) -> dict[Any, float]:
    """Median seconds of each function; they take turns, so that what disturbs the machine disturbs them all."""
    for run in functions.values():  # traces and compiles
        run()
    seconds: dict[Any, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, run in functions.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return {name: float(np.median(times)) for name, times in seconds.items()}


def measure(job: Job) -> dict[str, Any]:
    """Median seconds of each method, and the process's peak resident memory in GiB."""
    seconds = median_seconds(methods(job), job.repeats)
    peak = peak_memory()
    return {"seconds": seconds, "peak": np.nan if peak is None else peak}


def within_limit(gib: float, task: Callable[[Any], Any], argument: Any) -> Any:
    """`task(argument)` under a limit of memory, in this process; None if that is not enough."""
    tf.get_logger().setLevel("ERROR")  # one function after the other is traced here, and that is no mistake
    limit_memory(gib)
    try:
        return task(argument)
    except (MemoryError, tf.errors.ResourceExhaustedError, tf.errors.InternalError):
        return None


def apart(gib: float | None, task: Callable[[Any], Any], argument: Any) -> Any:
    """`task(argument)` in a process of its own with at most `gib` GiB of memory; None if that is not enough.

    Without a limit it runs in this process.
    """
    if gib is None:
        return task(argument)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["experiments.benchmarks.measure"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(within_limit, gib, task, argument).result()
        except BrokenProcessPool:  # killed by an allocation that failed
            return None
