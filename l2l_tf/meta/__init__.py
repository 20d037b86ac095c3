"""Meta-training: the meta-loss, its gradient (`rollout`, `replay`), and the loop that descends it (`trainer`)."""

from l2l_tf.meta.schedule import Beginning, Replay, Schedule, Validation

__all__ = ["Beginning", "Replay", "Schedule", "Validation"]
