"""Figure 10's data: `python -m experiments.studies.updates experiment=mnist`."""

import time
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.composition.cli import build, build_optimizee, command, plain
from experiments.results import store
from l2l_tf.errors import InputError
from l2l_tf.evaluation.updates import update_curves
from l2l_tf.serialization.trained import load_optimizer


def store_updates(config: DictConfig) -> Path:
    """Sweeps the gradients of the learned optimizer and of the tuned baselines along one test problem each."""
    settings = plain(config.updates)
    results = Path(config.results)
    rates = store.read_parquet(results / "tuning" / f"{settings['tuned_on']}.parquet", store.TUNING)
    tuned = rates[rates.chosen].set_index("optimizer").learning_rate
    optimizers = {str(name): build(config.baselines[name])(float(rate)) for name, rate in tuned.items()}
    optimizers["LSTM"] = load_optimizer(results / "trained" / config.name).groups[0].optimizer
    optimizee = build_optimizee(config.optimizee, "test")
    began = time.monotonic()
    frames = []
    for name in settings["optimizers"]:
        curves = update_curves(optimizee, optimizers[name], settings["coordinates"], settings["steps"], config.seed)
        frames.append(curves.assign(optimizer=name))
    path = results / "updates" / "10.parquet"
    frame = pd.concat(frames, ignore_index=True)
    store.write_table(path.with_suffix(""), frame, parquet=True)
    store.write_provenance(path, store.provenance(plain(config), time.monotonic() - began))
    return path


@command("evaluate")
def main(config: DictConfig) -> None:
    """Stores the swept updates."""
    if not config.updates:
        raise InputError("updates: there are none; choose an experiment that has some, such as experiment=mnist")
    print(store_updates(config))


if __name__ == "__main__":
    main()
