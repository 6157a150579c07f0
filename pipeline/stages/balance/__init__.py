"""Resample or weigh the rows of train."""
