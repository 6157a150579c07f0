"""Metrics of predictions with their intervals, limits, comparisons, and whether two samples match."""
