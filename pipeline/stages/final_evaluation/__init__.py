"""Measure the model on test."""
