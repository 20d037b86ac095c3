"""Learning to learn by gradient descent by gradient descent (Andrychowicz et al., 2016), reproduced."""

import os

# TensorFlow's start-up chatter says nothing a user can act on; a level that the user has set stays.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
