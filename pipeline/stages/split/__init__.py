"""Assign images to train, train_dev, dev and test."""
