"""Commands: train, tune, evaluate, reproduce; tables, figures and the benchmark."""

from l2l_tf.startup import prepare_tensorflow

prepare_tensorflow()
