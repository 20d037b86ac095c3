"""The Keras optimizer under its short name: `from l2l_tf.keras import LearnedOptimizer`."""

from l2l_tf.integrations.keras import LearnedOptimizer

__all__ = ["LearnedOptimizer"]
