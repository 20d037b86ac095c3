"""Optimizers on fresh problems: their curves (`evaluate`), their learning rates (`tune`), their updates (`updates`)."""
