"""A trained optimizer as a Keras or a Sonnet optimizer."""
