"""Meta-trains an optimizer: `python -m experiments.train experiment=quadratic schedule.learning_rate=3e-4`.

The run's folder gets `optimizer.safetensors` and `optimizer.yaml` (the best φ so far), `checkpoint.safetensors`,
`history.csv`, `provenance.yaml` and a TensorBoard log. The same command again goes
on where it was interrupted.

Main keys:
    experiment=NAME       what is trained on what, and for how long; conf/experiment has them
    schedule.epochs=N     how long, schedule.learning_rate=RATE how fast
    hydra.run.dir=FOLDER  where it goes
    -m KEY=A,B            trains for each of the values, several at once, and compares them
"""

from functools import partial
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from experiments.benchmarks.stages import add_stages
from experiments.composition.build import check_once_trained, meta_training, plain
from experiments.composition.cli import command, default_threads
from experiments.composition.labels import check_training_labels
from experiments.results.trainings import Training, fingerprint, one_training
from l2l_tf.meta.checkpoint import Checkpoint
from l2l_tf.meta.trainer import Trainer
from l2l_tf.stages import seconds, stage


def train(config: DictConfig, folder: Path) -> Checkpoint:
    """Trains what the configuration describes, in `folder`.

    Raises:
        InputError: a bad configuration, or the folder is another training's; nothing in it has changed then.
    """
    check_training_labels(config.name, config.optimizee, config.panels)
    resolved = plain(config)
    trainer = Trainer(*meta_training(config), folder=folder, fingerprint=fingerprint(resolved))
    check_once_trained(config)
    with one_training(folder, trainer.fingerprint):
        training = Training(folder, resolved)
        training.write_config(_overrides())
        trainer.on_round = partial(training.save_progress, trainer)
        with stage("training"):
            checkpoint = trainer.train()
        training.finish(checkpoint)
        return checkpoint


def _overrides() -> list[str]:
    """Of the command line; none where there is no command."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def threads_of_an_operation(config: DictConfig) -> int:
    """As TensorFlow likes (0) for an optimizee whose unrolls are one XLA program each, which is one large operation."""
    return 0 if config.optimizee.get("compile") else default_threads(config)


@command("train", threads_of_an_operation)
def main(config: DictConfig) -> float:
    """Trains in Hydra's run folder; returns the best validation loss, for sweepers that search."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    checkpoint = train(config, folder)
    if config.stages:
        add_stages(Path(config.stages), config.name, seconds())
    print(f"{folder}: validation loss {checkpoint.best_loss:.4g} after {checkpoint.update} meta-updates")
    return checkpoint.best_loss


if __name__ == "__main__":
    main()
