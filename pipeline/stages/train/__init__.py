"""Fit the model to train; dev decides which epoch is kept."""
