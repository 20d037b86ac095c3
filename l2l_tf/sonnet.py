"""The Sonnet optimizer under its short name: `from l2l_tf.sonnet import LearnedOptimizer`."""

from l2l_tf.integrations.sonnet import LearnedOptimizer

__all__ = ["LearnedOptimizer"]
