"""Rows of a manifest to batches, and to a fitted model."""
