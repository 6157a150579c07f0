"""Diagnose once more, with test: overfitting to dev, and what is good on test and bad in production."""
