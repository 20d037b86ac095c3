"""Running any optimizer on fresh problems."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from l2l_tf import seeds, stages
from l2l_tf.checks import at_least
from l2l_tf.optimizees.base import Optimizee, Parameters, check_optimizee
from l2l_tf.optimizees.sonnet_classifier import SonnetClassifier
from l2l_tf.optimizers import Optimizer, ParameterGroups, everything
from l2l_tf.unroll import rollout, start


class Evaluator:
    """Runs one optimizer on problems of one optimizee; traced once, used often (a sweep may assign to variables).

    Args:
        steps: K, the length of each run.
        batch: how many problems run at once.
    """

    def __init__(
        self,
        optimizee: Optimizee,
        optimizer: Optimizer | ParameterGroups,
        steps: int,
        batch: int = 32,
    ):
        params = check_optimizee(optimizee)
        self.optimizee = optimizee
        self.optimizer = everything(optimizer)
        self.steps = at_least("steps", steps, 1)
        self.batch = at_least("batch", batch, 1)
        self.optimizer.assign(list(params))  # wrong patterns show here, not in a trace
        self._run = tf.function(self._rollout, autograph=False)

    def _rollout(self, keys: tf.Tensor) -> tuple[tf.Tensor, Parameters]:
        begin = start(self.optimizee, self.optimizer, keys)
        trajectory = rollout(self.optimizee, self.optimizer, begin, tf.constant(0), self.steps, record=False)
        return trajectory.losses, trajectory.end.params

    def losses(
        self, seed: int, stream: str, problems: Iterable[int], progress: str | None = None
    ) -> tuple[np.ndarray, list[Parameters]]:
        """Runs the problems with these indices.

        Args:
            progress: label of a progress bar; None for none.

        Returns:
            f(θ_0) ... f(θ_K) of each problem, [problems, K+1], and the final parameters of each batch of problems.
        """
        indices = list(problems)
        chunks: Sequence[list[int]] = [indices[i : i + self.batch] for i in range(0, len(indices), self.batch)]
        results = [
            stages.call(self._run, seeds.problem_keys(seed, stream, chunk), xla=False)
            for chunk in tqdm(chunks, desc=progress, disable=progress is None, leave=False)
        ]
        return np.concatenate([losses.numpy().T for losses, _ in results]), [params for _, params in results]


def evaluate(
    optimizee: Optimizee,
    optimizer: Optimizer | ParameterGroups,
    problems: int,
    steps: int,
    seed: int = 0,
    stream: str = "test",
    batch: int = 32,
    progress: str | None = None,
) -> pd.DataFrame:
    """Runs an optimizer on fresh problems.

    Problem k of a (seed, stream) is the same for every optimizer: same θ_0, same data, same minibatches.

    Returns:
        One row per problem and step, with columns seed (the problem's index), step (0 ... K) and loss.
    """
    at_least("problems", problems, 1)
    losses, _ = Evaluator(optimizee, optimizer, steps, batch).losses(seed, stream, range(problems), progress)
    return as_frame(losses)


def accuracies(optimizee: SonnetClassifier, finals: Sequence[Parameters]) -> np.ndarray:
    """The accuracy on all images of each problem, [problems], from the final parameters of each batch of problems."""
    accuracy = tf.function(optimizee.accuracy, autograph=False)
    unstacked = [
        {name: tensor[k] for name, tensor in params.items()}
        for params in finals
        for k in range(next(iter(params.values())).shape[0])
    ]
    return np.array([float(accuracy(params)) for params in unstacked])


def as_frame(losses: np.ndarray) -> pd.DataFrame:
    """Losses [problems, K+1] in long form: columns seed, step, loss."""
    problems, steps = losses.shape
    return pd.DataFrame(
        {
            "seed": np.repeat(np.arange(problems, dtype=np.int32), steps),
            "step": np.tile(np.arange(steps, dtype=np.int32), problems),
            "loss": losses.reshape(-1).astype(np.float32),
        }
    )
