"""Tables and figures from the stored results; nothing here imports TensorFlow."""
