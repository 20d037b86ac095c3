"""Before any test: TensorFlow starts as in the commands, and hypothesis is patient, since first calls are slow."""

import pytest
from hypothesis import HealthCheck, settings

from l2l_tf.startup import prepare_tensorflow

prepare_tensorflow()

settings.register_profile("l2l", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("l2l")

SLOW = ("test_train_command.py", "test_bench.py", "test_reproduce_command.py", "test_diagnose.py", "test_transfer.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest files first, so that no worker is left alone with one of them at the end."""
    items.sort(key=lambda item: SLOW.index(item.path.name) if item.path.name in SLOW else len(SLOW))
