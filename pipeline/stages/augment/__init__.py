"""Make variants of the training images."""
