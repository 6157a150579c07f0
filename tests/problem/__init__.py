"""Tests of pipeline/problem."""
