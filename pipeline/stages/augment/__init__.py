"""Generate variants of the training images."""
