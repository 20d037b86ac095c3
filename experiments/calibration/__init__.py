"""Which initial deviation, and which constants, the paper's own baseline curves speak for."""
