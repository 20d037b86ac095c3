"""Optimizees: the functions f(θ) that are optimized."""

from l2l_tf.optimizees.base import Optimizee, Parameters
from l2l_tf.optimizees.convnet import convnet
from l2l_tf.optimizees.ensemble import Ensemble
from l2l_tf.optimizees.ill_conditioned import IllConditioned
from l2l_tf.optimizees.mlp import mlp
from l2l_tf.optimizees.neural_art import NeuralArt, load_neural_art
from l2l_tf.optimizees.quadratic import Quadratic
from l2l_tf.optimizees.random_networks import RandomNetworks
from l2l_tf.optimizees.simple import Simple
from l2l_tf.optimizees.sonnet_classifier import SonnetClassifier

__all__ = [
    "Ensemble",
    "IllConditioned",
    "NeuralArt",
    "Optimizee",
    "Parameters",
    "Quadratic",
    "RandomNetworks",
    "Simple",
    "SonnetClassifier",
    "convnet",
    "load_neural_art",
    "mlp",
]
