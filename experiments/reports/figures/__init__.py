"""The paper's figures, drawn from stored results alone: ``python -m experiments.reports.figures`` draws them all."""
