"""Commands: train, tune, evaluate, reproduce; tables, figures and the benchmark."""

from experiments.startup import prepare_tensorflow

prepare_tensorflow()
