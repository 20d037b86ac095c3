"""Learning to learn by gradient descent by gradient descent (Andrychowicz et al., 2016), reproduced."""

__version__ = "0.2.0"
