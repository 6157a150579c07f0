"""Compute a vector of each image that says what it shows."""
