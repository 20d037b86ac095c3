"""Meta-training: ADAM on φ, one update for every unroll (section 3).

Training goes in rounds, which end with a validation and a checkpoint. At the beginning of a round every optimization
is re-initialized on a new problem, so that a checkpoint need only hold φ and ADAM's moments; training that was
interrupted goes on from the last round and ends with the very same φ.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sonnet as snt
import tensorflow as tf
from tqdm import tqdm

from l2l_tf import seeds, stages
from l2l_tf.checks import INT64, at_least, instance_of
from l2l_tf.errors import InputError
from l2l_tf.evaluation.evaluate import Evaluator
from l2l_tf.meta.base import Unroll
from l2l_tf.meta.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from l2l_tf.meta.methods import scheduled
from l2l_tf.meta.schedule import Schedule
from l2l_tf.optimizees.base import Optimizee, check_optimizee
from l2l_tf.optimizers import Optimizer, ParameterGroups, everything
from l2l_tf.serialization.trained import assign_variables, check_arrays, read_variables, variable_names
from l2l_tf.unroll import Optimization, advance, start


@dataclass
class Running:
    """One of the optimizations that run side by side: where it is, and how long it goes on."""

    optimization: Optimization
    step: int
    length: int


class Trainer:
    """Trains an optimizer on an optimizee.

    Args:
        optimizee: with the training data; validation_optimizee: the same with validation data.
        optimizer: whose trainable variables are φ; the trained values are left in it.
        schedule: see `Schedule`.
        seed: decides problems, minibatches and sampled coordinates.
        folder: for the checkpoint and the TensorBoard log.
        fingerprint: names the configuration; a checkpoint with another fingerprint is refused.
        on_round: is called with the checkpoint at the end of each round, before it is written.
    """

    def __init__(
        self,
        optimizee: Optimizee,
        validation_optimizee: Optimizee,
        optimizer: Optimizer | ParameterGroups,
        schedule: Schedule,
        seed: int,
        folder: Path,
        fingerprint: str = "",
        on_round: Callable[[Checkpoint], None] = lambda checkpoint: None,
    ):
        check_optimizee(optimizee)
        self.optimizee = optimizee
        self.optimizer = everything(optimizer)
        self.variables = self.optimizer.trainable_variables
        if not self.variables:
            raise InputError("optimizer: has nothing to train; choose a learned one, such as optimizer=lstm")
        instance_of("schedule", schedule, Schedule)
        self.schedule = schedule
        self.seed = at_least("seed", seed, 0, INT64)
        self.folder = folder
        self.fingerprint = fingerprint
        self.on_round = on_round
        batch = min(schedule.validation.problems, 32)
        self.validation = Evaluator(validation_optimizee, self.optimizer, schedule.steps, batch)
        self.meta_gradient = scheduled(optimizee, self.optimizer, schedule)
        self.rate = tf.Variable(float(schedule.learning_rate), trainable=False)
        self.adam = snt.optimizers.Adam(self.rate)
        self.adam._initialize(self.variables)  # so that its moments exist before a checkpoint is restored into them
        self.weights = schedule.step_weights()
        self._start = tf.function(lambda keys: start(self.optimizee, self.optimizer, keys), autograph=False)
        self._advance = tf.function(partial(advance, self.optimizee, self.optimizer), autograph=False)
        self._meta_step = tf.function(self._unroll_all_and_update, autograph=False)

    # The compiled functions: start, advance and meta-step.

    def _unroll_all_and_update(self, unrolls: list[Unroll]) -> tuple[tf.Tensor, tf.Tensor, list[Optimization]]:
        """A meta-update by one unroll of each optimization; in one graph, so that they run in parallel.

        Returns their mean meta-loss, the meta-gradient's norm, and where each ended.
        """
        results = [self.meta_gradient(unroll) for unroll in unrolls]
        losses, gradients, ends = zip(*results, strict=True)
        meta_losses = [
            tf.reduce_sum(unroll.weights * loss)
            for unroll, loss in zip(unrolls, losses, strict=True)  # Σ_t w_t f(θ_t)
        ]
        return tf.add_n(meta_losses) / len(unrolls), self._meta_update(gradients), list(ends)

    def _meta_update(self, gradients: Sequence[tuple[tf.Tensor, ...]]) -> tf.Tensor:
        """ADAM on the mean of the side-by-side optimizations' meta-gradients, each clipped; returns their mean norm.

        Nothing is changed if the norm is not finite.
        """
        norms = [tf.linalg.global_norm(gradient) for gradient in gradients]
        clip_norm = self.schedule.clip_norm
        if clip_norm is not None:  # one by one: a few have norms many times the others' and would decide the mean
            clipped = zip(gradients, norms, strict=True)
            gradients = [tf.clip_by_global_norm(gradient, clip_norm, norm)[0] for gradient, norm in clipped]
        mean = [tf.add_n(list(parts)) / len(parts) for parts in zip(*gradients, strict=True)]
        norm = tf.add_n(norms) / len(norms)
        tf.cond(tf.math.is_finite(norm), lambda: self._apply(mean), lambda: False)
        return norm

    def _apply(self, gradients: Sequence[tf.Tensor]) -> bool:
        self.adam.apply(gradients, self.variables)
        return True

    # The loop.

    def train(self) -> Checkpoint:
        """Trains until the schedule's end, or until validation stops improving, from the last checkpoint if any.

        A `KeyboardInterrupt` gets a note that says from where the training will go on.

        Raises:
            InputError: the meta-loss, the meta-gradient or φ is no longer finite (the last round's checkpoint stays),
                or the checkpoint cannot be used.
        """
        path = self.folder / "checkpoint.safetensors"
        checkpoint = self._resume(path)
        if not self._finished(checkpoint):
            self._rounds(checkpoint, path)
        assign_variables(self.optimizer, checkpoint.best_weights, path)
        return checkpoint

    def _rounds(self, checkpoint: Checkpoint, path: Path) -> None:
        """Rounds until training is finished; the checkpoint goes to `path` after each."""
        schedule = self.schedule
        updates_per_round = schedule.validation.every * schedule.updates_per_epoch
        writer = tf.summary.create_file_writer(str(self.folder / "tensorboard"))
        with (
            writer.as_default(),
            tqdm(total=schedule.updates, initial=checkpoint.update, unit="update", desc="meta-training") as bar,
        ):
            kept = checkpoint.update
            bar.set_postfix_str("tracing and compiling")  # which the first calls do, for up to a minute
            try:
                while not self._finished(checkpoint):
                    began = time.monotonic()
                    until = min(checkpoint.update + updates_per_round, schedule.updates)
                    meta_loss = self._round(checkpoint, until, bar)
                    self._validate(checkpoint, meta_loss, time.monotonic() - began)
                    self.on_round(checkpoint)  # first: a training killed in between does this round again
                    save_checkpoint(path, checkpoint)
                    kept = checkpoint.update
                    bar.set_postfix_str(f"validation {checkpoint.history[-1]['validation_loss']:.4g}")
            except KeyboardInterrupt as interrupt:
                interrupt.add_note(f"{_kept(kept)}; the same command goes on from there")
                raise

    def _resume(self, path: Path) -> Checkpoint:
        checkpoint = Checkpoint(self.fingerprint)
        if path.exists():
            checkpoint = load_checkpoint(path, self.fingerprint)
            for arrays in (checkpoint.best_weights, checkpoint.adam_m, checkpoint.adam_v):
                check_arrays(self.optimizer, arrays, path)
            assign_variables(self.optimizer, checkpoint.weights, path)
            names = variable_names(self.optimizer)
            for moments, arrays in ((self.adam.m, checkpoint.adam_m), (self.adam.v, checkpoint.adam_v)):
                for name, moment in zip(names, moments, strict=True):
                    moment.assign(arrays[name])
            self.adam.step.assign(checkpoint.update)
        return checkpoint

    def _finished(self, checkpoint: Checkpoint) -> bool:
        patience = self.schedule.validation.patience
        out_of_patience = patience is not None and checkpoint.rounds_since_best >= patience
        return checkpoint.update >= self.schedule.updates or out_of_patience

    def _begin(self, checkpoint: Checkpoint) -> Running:
        """Starts the next optimization: new problems, and a length if the schedule draws lengths."""
        number = checkpoint.started
        checkpoint.started += 1
        problems = range(number * self.schedule.problems, (number + 1) * self.schedule.problems)
        keys = seeds.problem_keys(self.seed, "train", problems)
        length = self.schedule.length(seeds.generator(self.seed, "length", number))
        return Running(stages.call(self._start, keys), 0, length)

    def _begin_staggered(self, checkpoint: Checkpoint) -> list[Running]:
        """Starts all optimizations and takes each one, with φ as it is, to a phase of its own."""
        count, unroll = self.schedule.optimizations, self.schedule.unroll
        running = [self._begin(checkpoint) for _ in range(count)]
        for index, one in enumerate(running):
            for _ in range(index * (one.length // unroll) // count):
                one.optimization = stages.call(self._advance, one.optimization, tf.constant(one.step), unroll)
                one.step += unroll
        return running

    def _round(self, checkpoint: Checkpoint, until: int, bar: Any) -> float:
        """Meta-updates up to number `until`; returns the mean meta-loss per step."""
        unroll = self.schedule.unroll
        running = self._begin_staggered(checkpoint)
        means = []
        for update in range(checkpoint.update, until):
            turn = self.schedule.turn(update)
            for index in turn:
                if running[index].step >= running[index].length:
                    running[index] = self._begin(checkpoint)
            self.rate.assign(self.schedule.rate(update))
            unrolls = [self._next_unroll(running[index], update * len(running) + index) for index in turn]
            untraced = self._meta_step.experimental_get_tracing_count() == 0
            meta_loss, gradient_norm, ends = stages.call(self._meta_step, unrolls)
            if untraced:
                bar.set_postfix_str("")
            for index, end in zip(turn, ends, strict=True):
                running[index].optimization = end
                running[index].step += unroll
            mean, norm = float(meta_loss), float(gradient_norm)
            if not np.isfinite([norm, mean]).all():
                raise self._diverged(
                    f"meta-update {update}: the meta-loss is {mean:.4g}, its gradient's norm {norm:.4g}", checkpoint
                )
            means.append(mean)
            tf.summary.scalar("meta-gradient norm", norm, step=update)
            bar.update()
        checkpoint.update = until
        return float(np.mean(means)) / unroll

    def _next_unroll(self, one: Running, number: int) -> Unroll:
        """The unroll that an optimization does next; `number` counts unrolls since the training began."""
        sample_seed = seeds.generator(self.seed, "sample", number).integers(2**31, size=2)
        weights = self.weights[one.step : one.step + self.schedule.unroll]
        return Unroll(one.optimization, tf.constant(one.step), tf.constant(weights), tf.constant(sample_seed, tf.int32))

    def _diverged(self, what: str, checkpoint: Checkpoint) -> InputError:
        rows = checkpoint.history
        return InputError(
            f"{what}, not finite: lower schedule.learning_rate={self.schedule.learning_rate} or set "
            f"schedule.clip_norm; {_kept(rows[-1]['update'] if rows else 0)}"
        )

    def _validate(self, checkpoint: Checkpoint, meta_loss: float, seconds: float) -> None:
        """Evaluates φ on the validation problems and keeps it if it is the best so far."""
        validation = self.schedule.validation
        curves, _ = self.validation.losses(self.seed, "validation", range(validation.problems))
        loss = validation.loss(curves)
        names = variable_names(self.optimizer)
        weights = read_variables(self.optimizer)
        if not all(np.isfinite(array).all() for array in weights.values()):
            raise self._diverged(f"meta-update {checkpoint.update - 1}: φ has values that are", checkpoint)
        checkpoint.weights = weights
        checkpoint.adam_m = {name: m.numpy() for name, m in zip(names, self.adam.m, strict=True)}
        checkpoint.adam_v = {name: v.numpy() for name, v in zip(names, self.adam.v, strict=True)}
        checkpoint.rounds_since_best += 1
        if loss < checkpoint.best_loss or not checkpoint.best_weights:
            checkpoint.best_loss, checkpoint.best_weights = loss, checkpoint.weights
            checkpoint.rounds_since_best = 0
        row = {
            "update": checkpoint.update,
            "epoch": checkpoint.update / self.schedule.updates_per_epoch,
            "meta_loss": meta_loss,
            "validation_loss": loss,
            "learning_rate": self.schedule.rate(max(checkpoint.update - 1, 0)),
            "seconds": round(seconds, 2),
        }
        checkpoint.history.append(row)
        for name in ("meta_loss", "validation_loss", "learning_rate"):
            tf.summary.scalar(name, row[name], step=checkpoint.update)


def _kept(update: int) -> str:
    return f"the checkpoint of meta-update {update} is kept" if update else "there is no checkpoint yet"
