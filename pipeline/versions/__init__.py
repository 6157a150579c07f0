"""Versions of code: one short hash for all that a stage, or a function, reaches in this package's syntax trees."""
