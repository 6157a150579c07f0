"""Reads the tables of any split and checks it for leaks."""
