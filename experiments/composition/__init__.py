"""What needs Hydra: commands, and configuration nodes made into objects."""
