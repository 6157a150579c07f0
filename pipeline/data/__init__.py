"""Rows of a manifest -> batches of pictures and classes."""
