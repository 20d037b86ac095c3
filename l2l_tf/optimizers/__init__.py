"""Optimizers, hand-designed and learned."""

from l2l_tf.optimizers.base import CoordinatewiseOptimizer, CoupledOptimizer, Optimizer, State
from l2l_tf.optimizers.bfgs import BFGS, LBFGS
from l2l_tf.optimizers.general import MomentumMLP
from l2l_tf.optimizers.groups import Group, ParameterGroups, everything
from l2l_tf.optimizers.hand_designed import (
    NAG,
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    CentredRMSprop,
    HandDesigned,
    Momentum,
    RMSprop,
)
from l2l_tf.optimizers.kernel_lstm import KernelLSTM
from l2l_tf.optimizers.lstm import CoordinatewiseLSTM
from l2l_tf.optimizers.lstm_gac import LSTMGAC
from l2l_tf.optimizers.ntm_bfgs import NTMBFGS
from l2l_tf.optimizers.ntm_lbfgs import NTMLBFGS
from l2l_tf.optimizers.odd import OddLSTM
from l2l_tf.optimizers.preprocessing import Identity, LogAndSign, Preprocessing
from l2l_tf.optimizers.rnnprop import RNNprop

__all__ = [
    "BFGS",
    "LBFGS",
    "LSTMGAC",
    "NAG",
    "NTMBFGS",
    "NTMLBFGS",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "CentredRMSprop",
    "CoordinatewiseLSTM",
    "CoordinatewiseOptimizer",
    "CoupledOptimizer",
    "Group",
    "HandDesigned",
    "Identity",
    "KernelLSTM",
    "LogAndSign",
    "Momentum",
    "MomentumMLP",
    "OddLSTM",
    "Optimizer",
    "ParameterGroups",
    "Preprocessing",
    "RMSprop",
    "RNNprop",
    "State",
    "everything",
]
