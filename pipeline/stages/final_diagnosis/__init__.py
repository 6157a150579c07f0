"""Diagnose once more, with the test set: overfitting to dev, and a good test score with bad results in production."""
