"""What a meta-step costs."""
