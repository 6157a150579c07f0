"""Diagnose what holds the model back, and recommend what to try next."""
