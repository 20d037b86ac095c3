"""Commands: train, tune, evaluate, reproduce; tables, figures and the benchmark."""
