"""Compute an embedding of each image: a vector that describes what it shows."""
