"""Evaluate the model on train, train_dev and dev, and check its limits."""
