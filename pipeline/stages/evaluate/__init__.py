"""Measure the model on train, train_dev and dev."""
