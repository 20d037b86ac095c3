"""Trained optimizers on disk: our folders, and the released code's `.l2l` files."""
