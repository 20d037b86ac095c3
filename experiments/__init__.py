"""Commands: train, tune, evaluate, reproduce; tables, figures and the benchmark."""

import os
import sys

from l2l_tf.startup import prepare_tensorflow

prepare_tensorflow()
if "ipykernel" not in sys.modules:
    os.environ["MPLBACKEND"] = "agg"  # figures go to files; a notebook's own, inherited by a shell, may not be there
