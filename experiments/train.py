"""Meta-trains an optimizer: `python -m experiments.train experiment=quadratic schedule.learning_rate=3e-4`.

The run's folder gets `optimizer.safetensors` and `optimizer.yaml` (the best φ so far), `checkpoint.safetensors`,
`history.csv`, `provenance.yaml` and a TensorBoard log. The same command again goes
on where it was interrupted.
"""

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from experiments.benchmarks.memory import peak_memory
from experiments.composition.cli import build, command, plain, training_optimizee, tuning_optimizee
from experiments.composition.panels import check_training_labels
from experiments.results import store
from l2l_tf.files import write_whole
from l2l_tf.meta.checkpoint import Checkpoint
from l2l_tf.meta.trainer import Trainer
from l2l_tf.serialization.trained import save_optimizer


def fingerprint(config: dict[str, Any]) -> str:
    """Names a configuration by everything in it that the trained weights depend on; what is null counts as absent."""

    def without_nulls(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_nulls(item) for key, item in value.items() if item is not None}
        return [without_nulls(item) for item in value] if isinstance(value, list) else value

    relevant = without_nulls({key: config[key] for key in ("optimizee", "optimizer", "schedule", "seed")})
    relevant["optimizee"].get("data", {}).pop("directory", None)
    relevant |= {key: without_nulls(config[key]) for key in ("train_on", "tune_on") if config.get(key)}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]


def save_progress(folder: Path, origin: dict[str, Any], checkpoint: Checkpoint) -> None:
    """Writes the best optimizer so far, the history of the rounds, and where they come from."""
    save_optimizer(folder, origin["config"]["optimizer"], checkpoint.best_weights)
    history = pd.DataFrame(checkpoint.history)
    store.write_table(folder / "history", history)
    record = origin | {"wall_time": float(history.seconds.sum()), "peak_memory": peak_memory()}
    write_whole(folder / "provenance.yaml", yaml.safe_dump(record, sort_keys=False).encode())


def train(config: DictConfig, folder: Path) -> Checkpoint:
    """Trains what the configuration describes, in `folder`."""
    check_training_labels(config)
    resolved = plain(config)
    trainer = Trainer(
        optimizee=training_optimizee(config),
        validation_optimizee=tuning_optimizee(config, config.optimizee),
        optimizer=build(config.optimizer),
        schedule=build(config.schedule),
        seed=config.seed,
        folder=folder,
        fingerprint=fingerprint(resolved),
        on_round=partial(save_progress, folder, store.provenance(resolved, 0.0)),  # the revision that runs
    )
    return trainer.train()


def threads_of_an_operation(config: DictConfig) -> int:
    """As TensorFlow likes (0) for an optimizee whose unrolls are one XLA program each, which is one large operation."""
    return 0 if config.optimizee.get("compile") else 1


@command("train", threads_of_an_operation)
def main(config: DictConfig) -> float:
    """Trains in Hydra's run folder; returns the best validation loss, for sweepers that search."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    checkpoint = train(config, folder)
    print(f"{folder}: validation loss {checkpoint.best_loss:.4g} after {checkpoint.update} meta-updates")
    return checkpoint.best_loss


if __name__ == "__main__":
    main()
