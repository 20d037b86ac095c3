"""Before any test: TensorFlow starts as in the commands, and hypothesis is patient, since first calls are slow."""

from hypothesis import HealthCheck, settings

from l2l_tf.startup import prepare_tensorflow

prepare_tensorflow()

settings.register_profile("l2l", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("l2l")
