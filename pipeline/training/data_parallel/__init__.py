"""Data-parallel training: several processes share the rows of each batch and add up their gradients."""
