"""Audit the tables of any split for leaks."""
