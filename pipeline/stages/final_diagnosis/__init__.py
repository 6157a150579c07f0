"""Diagnose once more, with test."""
