"""How an optimizer is trained: every knob of meta-training, checked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import tensorflow as tf

from l2l_tf.checks import at_least, instance_of, one_of, positive
from l2l_tf.errors import InputError

SMALL = 1e-5  # a loss below it weighs no more than it does at 0


def relative(weights: tf.Tensor, losses: tf.Tensor) -> tf.Tensor:
    """w_t / f(θ_t) from w_1 ... w_T and f(θ_1) ... f(θ_T), [T].

    Held constant, they make the meta-gradient that of Σ_t w_t log f(θ_t), which counts a loss's fall from 0.01 to 0.001
    as much as that from 1 to 0.1.
    """
    return tf.stop_gradient(weights / (losses + SMALL))


@dataclass(frozen=True)
class Replay:
    """How much of the replay is done at once, and how much of it at all (`l2l_tf.meta.replay`).

    Attributes:
        block_size: coordinates replayed at once; bounds the memory and does not change the result.
        fraction: of a large tensor's coordinates that is replayed, a fresh random sample each time; 1 is exact.
        whole_below: tensors with fewer coordinates than this are always replayed whole.
    """

    block_size: int = 2048
    fraction: float = 1.0
    whole_below: int = 1024

    def __post_init__(self) -> None:
        at_least("schedule.replay.block_size", self.block_size, 1)
        at_least("schedule.replay.whole_below", self.whole_below, 0)
        if positive("schedule.replay.fraction", self.fraction) > 1:
            raise InputError(f"schedule.replay.fraction={self.fraction}: must be above 0 and at most 1")


@dataclass(frozen=True)
class Validation:
    """When φ is evaluated on validation problems, and on what; the best φ is kept (section 3).

    Attributes:
        every: epochs between two validations.
        problems: how many validation problems, the same ones each time.
        window: the validation loss is the mean over the last `window` steps; 1 for losses without minibatch noise.
        patience: training stops after this many validations without a new best; None to train all epochs.
    """

    every: int = 20
    problems: int = 20
    window: int = 1
    patience: int | None = None

    def __post_init__(self) -> None:
        at_least("schedule.validation.every", self.every, 1)
        at_least("schedule.validation.problems", self.problems, 1)
        at_least("schedule.validation.window", self.window, 1)
        if self.patience is not None:
            at_least("schedule.validation.patience", self.patience, 1)


@dataclass(frozen=True)
class Beginning:
    """The first epochs of a training, which may be cheaper than the rest.

    Attributes:
        epochs: how many, a multiple of `Validation.every`.
        unroll: steps between two meta-updates; divides the schedule's `steps`.
        second_derivatives: as the schedule's.
    """

    epochs: int
    unroll: int
    second_derivatives: bool = False

    def __post_init__(self) -> None:
        at_least("schedule.beginning.epochs", self.epochs, 1)
        at_least("schedule.beginning.unroll", self.unroll, 1)
        instance_of("schedule.beginning.second_derivatives", self.second_derivatives, bool)


@dataclass(frozen=True)
class Schedule:
    """The meta-training schedule.

    Attributes:
        steps: T, the length of an optimization.
        unroll: steps between two meta-updates (truncated back-propagation through time); divides `steps`.
        epochs: in an epoch, which is steps / unroll meta-updates, every optimization advances by `steps` steps (or
            as much less as `at_once` says).
        problems: how many problems an optimization solves at once (the released code's batch of 128 quadratics); the
            meta-loss is their mean.
        optimizations: how many optimizations run side by side. Their phases are staggered, so that each meta-update
            averages over unrolls from the beginning to the end of an optimization; 1 is the paper's way.
        at_once: how many of the optimizations advance in a meta-update, taking turns; None: all. With 1, successive
            meta-updates see different problems and phases at the cost of a single optimization.
        beginning: see `Beginning`; None: the same unrolls from beginning to end.
        shortest: an optimization's length is drawn log-uniformly from `shortest` to `steps`; None: always `steps`.
        learning_rate: ADAM's on φ.
        decay: of that rate over the training: "none", or "cosine" to zero.
        clip_norm: each optimization's meta-gradient is scaled down to this norm when it is larger; None: never.
        weights: w_t of the meta-loss: "all" (w_t = 1), "final" (w_t = 1[t = T]), a list of T numbers, or "inverse_loss"
            (w_t = 1 / f(θ_t), see `relative`).
        second_derivatives: keep ∂∇_t/∂φ, which the paper drops (`l2l_tf.meta.adjoint`); slower, and of all coordinates.
        replay: see `Replay`.
        validation: see `Validation`.
    """

    steps: int = 100
    unroll: int = 20
    epochs: int = 100
    problems: int = 1
    optimizations: int = 1
    at_once: int | None = None
    beginning: Beginning | None = None
    shortest: int | None = None
    learning_rate: float = 1e-3
    decay: Literal["none", "cosine"] = "none"
    clip_norm: float | None = None
    weights: Literal["all", "final", "inverse_loss"] | Sequence[float] = "all"
    second_derivatives: bool = False
    replay: Replay = field(default_factory=Replay)
    validation: Validation = field(default_factory=Validation)

    def __post_init__(self) -> None:
        for name in ("steps", "unroll", "epochs", "problems", "optimizations"):
            at_least(f"schedule.{name}", getattr(self, name), 1)
        self._check_lengths("schedule.unroll", self.unroll)
        positive("schedule.learning_rate", self.learning_rate)
        one_of("schedule.decay", self.decay, ("none", "cosine"))
        if self.clip_norm is not None:
            positive("schedule.clip_norm", self.clip_norm)
        if isinstance(self.weights, str):
            one_of("schedule.weights", self.weights, ("all", "final", "inverse_loss"))
        elif not isinstance(self.weights, Sequence) or len(self.weights) != self.steps:
            raise InputError(
                f"schedule.weights={self.weights}: must be all, final, inverse_loss or a list of "
                f"schedule.steps={self.steps} numbers"
            )
        else:
            for weight in self.weights:
                at_least("schedule.weights", float(weight), 0.0)
        instance_of("schedule.second_derivatives", self.second_derivatives, bool)
        if self.at_once is not None and at_least("schedule.at_once", self.at_once, 1) > self.optimizations:
            raise InputError(
                f"schedule.at_once={self.at_once}: must be at most schedule.optimizations={self.optimizations}"
            )
        instance_of("schedule.replay", self.replay, Replay)
        instance_of("schedule.validation", self.validation, Validation)
        if self.beginning is not None:
            instance_of("schedule.beginning", self.beginning, Beginning)
            self._check_lengths("schedule.beginning.unroll", self.beginning.unroll)
            if self.beginning.epochs % self.validation.every or self.beginning.epochs > self.epochs:
                raise InputError(
                    f"schedule.beginning.epochs={self.beginning.epochs}: must be a multiple of "
                    f"schedule.validation.every={self.validation.every} and at most schedule.epochs={self.epochs}"
                )
        if self.validation.window > self.steps:
            raise InputError(
                f"schedule.validation.window={self.validation.window}: must be at most schedule.steps={self.steps}"
            )

    def _check_lengths(self, name: str, unroll: int) -> None:
        """That optimizations of every length are a whole number of such unrolls."""
        if self.steps % unroll:
            raise InputError(f"schedule.steps={self.steps}: must be a multiple of {name}={unroll}")
        if self.shortest is not None and (
            at_least("schedule.shortest", self.shortest, 1) % unroll or self.shortest > self.steps
        ):
            raise InputError(
                f"schedule.shortest={self.shortest}: must be a multiple of {name}={unroll} "
                f"and at most schedule.steps={self.steps}"
            )

    def updates_until(self, epoch: int) -> int:
        """Meta-updates in the epochs before number `epoch`; an epoch is steps / unroll of them."""
        if self.beginning is None:
            return epoch * (self.steps // self.unroll)
        short = min(epoch, self.beginning.epochs)
        return short * (self.steps // self.beginning.unroll) + (epoch - short) * (self.steps // self.unroll)

    def turn(self, update: int) -> list[int]:
        """Which of the optimizations advance in meta-update number `update` (from 0)."""
        count = self.optimizations if self.at_once is None else self.at_once
        return [(update * count + index) % self.optimizations for index in range(count)]

    @property
    def updates(self) -> int:
        """Meta-updates in all."""
        return self.updates_until(self.epochs)

    def phase(self, update: int) -> "Schedule | Beginning":
        """What meta-update number `update` (from 0) belongs to, which has its `unroll` and `second_derivatives`."""
        if self.beginning is not None and update < self.updates_until(self.beginning.epochs):
            return self.beginning
        return self

    def epoch(self, update: int) -> float:
        """How many epochs are over before meta-update number `update`: the inverse of `updates_until`."""
        if self.beginning is None:
            return update * self.unroll / self.steps
        short = min(update, self.updates_until(self.beginning.epochs))
        return (short * self.beginning.unroll + (update - short) * self.unroll) / self.steps

    @property
    def inverse_loss(self) -> bool:
        """Whether w_t = 1 / f(θ_t)."""
        return self.weights == "inverse_loss"

    def step_weights(self) -> np.ndarray:
        """w_1 ... w_T, float32 [steps]; 1 for `inverse_loss`, as long as the losses are not known."""
        if self.weights in ("all", "inverse_loss"):
            return np.ones(self.steps, np.float32)
        if self.weights == "final":
            return np.eye(1, self.steps, self.steps - 1, dtype=np.float32)[0]
        return np.asarray(self.weights, np.float32)

    def rate(self, update: int) -> float:
        """ADAM's learning rate for meta-update number `update` (from 0)."""
        if self.decay == "none":
            return self.learning_rate
        return self.learning_rate * 0.5 * (1.0 + float(np.cos(np.pi * self.epoch(update) / self.epochs)))

    def length(self, generator: np.random.Generator, unroll: int) -> int:
        """The length of the next optimization, a multiple of the unrolls' length."""
        if self.shortest is None:
            return self.steps
        drawn = np.exp(generator.uniform(np.log(self.shortest), np.log(self.steps + unroll)))
        return min(int(drawn) // unroll * unroll, self.steps)
