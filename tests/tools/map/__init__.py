"""Tests of the map of the data."""
