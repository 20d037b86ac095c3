"""How an optimizer is trained: every knob of meta-training, checked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np
import tensorflow as tf

from l2l_tf.checks import at_least, boolean, instance_of, one_of, positive, shown
from l2l_tf.errors import InputError

MOST_STEPS, MOST_PROBLEMS, MOST_OPTIMIZATIONS = 10**6, 10**6, 100  # more would be a mistake, and fill the memory
SMALL = 1e-5  # a loss below it weighs no more than it does at 0


def relative(weights: tf.Tensor, losses: tf.Tensor) -> tf.Tensor:
    """w_t / f̄ from w_1 ... w_T and the losses of an unroll, [T], whose mean is f̄.

    Held constant, they make the meta-gradient that of T log f̄ (where all w_t are 1), which counts a fall of the loss
    from 0.01 to 0.001 as much as that from 1 to 0.1.
    """
    return tf.stop_gradient(weights / (tf.reduce_mean(losses) + SMALL))


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
        at_least("block_size", self.block_size, 1)
        at_least("whole_below", self.whole_below, 0)
        if positive("fraction", self.fraction) > 1:
            raise InputError(f"fraction={self.fraction}: must be above 0 and at most 1")


@dataclass(frozen=True)
class Validation:
    """When φ is evaluated on validation problems, and on what; the best φ is kept (section 3).

    Attributes:
        every: epochs between two validations.
        problems: how many validation problems, the same ones each time.
        window: the validation loss is the mean over the last `window` steps; 1 for losses without minibatch noise.
        geometric: whether problems' losses are averaged geometrically, which lets each count by its factor. Where
            problems differ, the mean is decided by those whose losses are high.
        patience: training stops after this many validations without a new best; None to train all epochs.
    """

    every: int = 20
    problems: int = 20
    window: int = 1
    patience: int | None = None
    geometric: bool = False

    def __post_init__(self) -> None:
        at_least("every", self.every, 1)
        at_least("problems", self.problems, 1, MOST_PROBLEMS)
        at_least("window", self.window, 1)
        instance_of("geometric", self.geometric, bool)
        if self.patience is not None:
            at_least("patience", self.patience, 1)

    def loss(self, curves: np.ndarray) -> float:
        """The validation loss from losses [problems, steps + 1]; infinite if a run diverged."""
        finals = curves[:, -self.window :].mean(axis=1)
        mean = np.exp(np.log(finals + SMALL).mean()) if self.geometric else finals.mean()
        return float(np.nan_to_num(mean, nan=np.inf))


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
        shortest: an optimization's length is drawn log-uniformly from `shortest` to `steps`; None: always `steps`.
        learning_rate: ADAM's on φ.
        decay: of that rate over the training: "none", or "cosine" to zero.
        clip_norm: each optimization's meta-gradient is clipped to this norm; None: it is not.
        weights: w_t of the meta-loss: "all" (w_t = 1), "final" (w_t = 1[t = T]), a list of T numbers, or "inverse_loss"
            (w_t = 1 / mean loss of the unroll, see `relative`).
        second_derivatives: keep ∂∇_t/∂φ, which the paper drops (`l2l_tf.meta.adjoint`); slower, and of all coordinates.
        curvature_limit: how large their part of an adjoint may be, relative to the part without; None: as large as it
            is (`l2l_tf.meta.adjoint`).
        replay: see `Replay`.
        validation: see `Validation`.
    """

    steps: int = 100
    unroll: int = 20
    epochs: int = 100
    problems: int = 1
    optimizations: int = 1
    at_once: int | None = None
    shortest: int | None = None
    learning_rate: float = 1e-3
    decay: Literal["none", "cosine"] = "none"
    clip_norm: float | None = None
    weights: Literal["all", "final", "inverse_loss"] | Sequence[float] = "all"
    second_derivatives: bool = False
    curvature_limit: float | None = None
    replay: Replay = field(default_factory=Replay)
    validation: Validation = field(default_factory=Validation)

    def __post_init__(self) -> None:
        for name, most in (
            ("steps", MOST_STEPS),
            ("unroll", MOST_STEPS),
            ("epochs", None),
            ("problems", MOST_PROBLEMS),
        ):
            at_least(name, getattr(self, name), 1, most)
        at_least("optimizations", self.optimizations, 1, MOST_OPTIMIZATIONS)
        if self.steps % self.unroll:
            raise InputError(f"steps={self.steps}: must be a multiple of unroll={self.unroll}")
        if self.shortest is not None and (
            at_least("shortest", self.shortest, 1) % self.unroll or self.shortest > self.steps
        ):
            raise InputError(
                f"shortest={self.shortest}: must be a multiple of unroll={self.unroll} and at most steps={self.steps}"
            )
        positive("learning_rate", self.learning_rate)
        one_of("decay", self.decay, ("none", "cosine"))
        if self.clip_norm is not None:
            positive("clip_norm", self.clip_norm)
        if isinstance(self.weights, str):
            one_of("weights", self.weights, ("all", "final", "inverse_loss"))
        elif not isinstance(self.weights, Sequence) or len(self.weights) != self.steps:
            raise InputError(
                f"weights={shown(self.weights)}: must be all, final, inverse_loss or a list of "
                f"steps={self.steps} numbers"
            )
        else:
            for index, weight in enumerate(cast(Sequence[float], self.weights)):
                at_least(f"weights.{index}", weight, 0.0)
            if not np.asarray(self.weights, np.float32).any():
                raise InputError(f"weights={shown(self.weights)}: must have one above 0")
        if self.shortest is not None and self.weights not in ("all", "inverse_loss"):
            raise InputError(
                f"weights={shown(self.weights)}: must be all or inverse_loss with shortest="
                f"{self.shortest}, for most optimizations would end before the steps that count"
            )
        boolean("second_derivatives", self.second_derivatives)
        if self.curvature_limit is not None:
            at_least("curvature_limit", self.curvature_limit, 0.0)
        if self.at_once is not None and at_least("at_once", self.at_once, 1) > self.optimizations:
            raise InputError(f"at_once={self.at_once}: must be at most optimizations={self.optimizations}")
        instance_of("replay", self.replay, Replay)
        instance_of("validation", self.validation, Validation)
        if self.validation.window > self.steps:
            raise InputError(f"validation.window={self.validation.window}: must be at most steps={self.steps}")

    def turn(self, update: int) -> list[int]:
        """Which of the optimizations advance in meta-update number `update` (from 0)."""
        count = self.optimizations if self.at_once is None else self.at_once
        return [(update * count + index) % self.optimizations for index in range(count)]

    @property
    def updates_per_epoch(self) -> int:
        """Meta-updates in an epoch."""
        return self.steps // self.unroll

    @property
    def updates(self) -> int:
        """Meta-updates in all."""
        return self.epochs * self.updates_per_epoch

    @property
    def inverse_loss(self) -> bool:
        """Whether losses count relative to their unroll's mean."""
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
        return self.learning_rate * 0.5 * (1.0 + float(np.cos(np.pi * update / self.updates)))

    def length(self, generator: np.random.Generator) -> int:
        """The length of the next optimization, a multiple of the unrolls' length."""
        if self.shortest is None:
            return self.steps
        drawn = np.exp(generator.uniform(np.log(self.shortest), np.log(self.steps + self.unroll)))
        return min(int(drawn) // self.unroll * self.unroll, self.steps)
