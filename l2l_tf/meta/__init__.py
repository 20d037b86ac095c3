"""Meta-training: the meta-loss's gradient (`base`, `replay`, `adjoint`, `autodiff`) and its descent (`trainer`)."""

from l2l_tf.meta.schedule import Replay, Schedule, Validation

__all__ = ["Replay", "Schedule", "Validation"]
