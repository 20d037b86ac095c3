"""Before any test: TensorFlow stays quiet and hypothesis is patient, since the first call of everything is slow."""

import os

from hypothesis import HealthCheck, settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

settings.register_profile("l2l", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("l2l")
