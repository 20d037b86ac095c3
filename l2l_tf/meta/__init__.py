"""Meta-training: the meta-loss, its gradient (`rollout`, `replay`), and the loop that descends it (`trainer`)."""

from l2l_tf.meta.schedule import Replay, Schedule, Validation

__all__ = ["Replay", "Schedule", "Validation"]
