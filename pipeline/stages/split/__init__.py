"""Assign each image to train, train_dev, dev or test."""
