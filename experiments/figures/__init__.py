"""The paper's figures, drawn from stored results alone: ``python -m experiments.figures`` draws them all."""
