"""Evaluate the model on the test set."""
