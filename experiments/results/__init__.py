"""The stored results."""
