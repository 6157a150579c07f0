"""Errors to what to do next."""
