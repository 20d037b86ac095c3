"""Which way of computing the meta-gradient a schedule asks for."""

from l2l_tf.meta.adjoint import AdjointMetaGradient
from l2l_tf.meta.base import MetaGradient
from l2l_tf.meta.replay import ReplayMetaGradient
from l2l_tf.meta.schedule import Schedule
from l2l_tf.optimizees.base import Optimizee
from l2l_tf.optimizers import ParameterGroups


def scheduled(optimizee: Optimizee, optimizer: ParameterGroups, schedule: Schedule) -> MetaGradient:
    """The adjoint if the schedule keeps second derivatives, the replay otherwise."""
    if schedule.second_derivatives:
        return AdjointMetaGradient(optimizee, optimizer, schedule.inverse_loss, schedule.curvature_limit)
    return ReplayMetaGradient(optimizee, optimizer, schedule.inverse_loss, schedule.replay)
