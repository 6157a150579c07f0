"""Predictions to numbers with their uncertainty."""
