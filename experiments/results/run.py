"""A run: one optimizer on the problems of one optimizee. Its spec says all that its losses depend on but the code.

The spec's canonical hash names the run's file (`experiments.results.store`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from experiments.results.record import portable

PROBE_STEPS = 10
NO_EFFECT = ("compile", "vectorize")  # arguments of an optimizee that change the time a run takes, and nothing else


def canonical_rate(rate: float) -> float:
    """A learning rate to ten digits: 10^(k/4) comes out alike wherever it is computed."""
    return float(f"{rate:.10g}")


def canonical_optimizee(config: Mapping[str, Any]) -> dict[str, Any]:
    """An optimizee's configuration without what does not change its losses, such as where the data lies."""
    plain: dict[str, Any] = portable({key: value for key, value in config.items() if key not in NO_EFFECT})
    if isinstance(plain.get("data"), dict):
        plain["data"].pop("directory", None)
    return plain


@dataclass(frozen=True)
class Spec:
    """What a run is.

    Attributes:
        optimizee: its configuration, canonical.
        optimizer: a hand-designed one's configuration with its learning rate, or of a trained one its configuration,
            the digest of its files (`trained`) and the number of the group that updates all parameters, or None.
        stream: of problems: "test" or "validation"; seed: of the stream; problems: how many, from number 0 on.
        steps: length of the run.
        keep_last: only so many of the last steps are kept; None: all, from f(θ_0) on.
        mean: only the mean over the kept steps and all problems is kept: of tuning, one number per rate.
    """

    optimizee: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    stream: str
    seed: int
    problems: int
    steps: int
    keep_last: int | None = None
    mean: bool = False

    def hash(self) -> str:
        """Sixteen hexadecimal digits."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def with_rate(self, rate: float) -> "Spec":
        """The same run at another learning rate."""
        return replace(self, optimizer={**self.optimizer, "learning_rate": canonical_rate(rate)})

    @property
    def shape(self) -> tuple[int, int]:
        """Of the kept losses."""
        kept = self.steps + 1 if self.keep_last is None else self.keep_last
        return (1, 1) if self.mean else (self.problems, kept)

    def __str__(self) -> str:
        """The optimizer in short: `RMSprop, learning rate 0.0562`."""
        name = str(self.optimizer.get("_target_", "trained optimizer")).rpartition(".")[2]
        rate = self.optimizer.get("learning_rate")
        return name if rate is None else f"{name}, learning rate {rate:.3g}"


@dataclass(frozen=True)
class Run:
    """A run and what came of it.

    Attributes:
        losses: float32 [problems, kept steps]; not finite where it diverged; [1, 1] if only the mean is kept.
        probe: f(θ_0) ... of the first problem's first steps, by which other code can be told.
        record: what made it (`experiments.results.record.provenance`).
        accuracy: of a classifier, on all images of its split at the end, [problems].
    """

    spec: Spec
    losses: np.ndarray
    probe: np.ndarray
    record: Mapping[str, Any] = field(default_factory=dict)
    accuracy: np.ndarray | None = None

    @property
    def steps(self) -> np.ndarray:
        """The numbers of the kept steps."""
        return np.arange(self.spec.steps + 1)[-self.losses.shape[1] :]

    @property
    def final(self) -> float:
        """The mean loss of what is kept; infinite if a run diverged."""
        mean = float(np.mean(self.losses, dtype=np.float64))
        return mean if np.isfinite(mean) else np.inf
