"""Models that no optimizer here was trained on: what works where."""
