"""Optimizers, hand-designed and learned."""

from l2l_tf.optimizers.base import CoordinatewiseOptimizer, State
from l2l_tf.optimizers.general import MomentumMLP
from l2l_tf.optimizers.groups import Group, ParameterGroups, everything
from l2l_tf.optimizers.hand_designed import NAG, SGD, AdaGrad, Adam, AdamW, HandDesigned, Momentum, RMSprop
from l2l_tf.optimizers.lstm import CoordinatewiseLSTM
from l2l_tf.optimizers.odd import OddLSTM
from l2l_tf.optimizers.preprocessing import Identity, LogAndSign, Preprocessing
from l2l_tf.optimizers.rnnprop import RNNprop

__all__ = [
    "NAG",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "CoordinatewiseLSTM",
    "CoordinatewiseOptimizer",
    "Group",
    "HandDesigned",
    "Identity",
    "LogAndSign",
    "Momentum",
    "MomentumMLP",
    "OddLSTM",
    "ParameterGroups",
    "Preprocessing",
    "RMSprop",
    "RNNprop",
    "State",
    "everything",
]
