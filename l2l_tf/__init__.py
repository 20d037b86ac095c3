"""Learning to learn by gradient descent by gradient descent (Andrychowicz et al., 2016), reproduced."""
