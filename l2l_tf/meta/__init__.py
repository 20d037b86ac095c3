"""Meta-training: the meta-loss, its gradient, and the loop that descends it."""

from l2l_tf.meta.schedule import Replay, Schedule, Validation
from l2l_tf.meta.trainer import Trainer

__all__ = ["Replay", "Schedule", "Trainer", "Validation"]
