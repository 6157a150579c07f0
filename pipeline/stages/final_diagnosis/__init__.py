"""Repeat the diagnosis with test: overfitting to dev, and the gap to live production."""
