"""Before any test: TensorFlow starts as in the commands, and hypothesis is patient, since first calls are slow."""

import os

from hypothesis import HealthCheck, settings

import experiments  # noqa: F401  it starts TensorFlow with oneDNN

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

settings.register_profile("l2l", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("l2l")
