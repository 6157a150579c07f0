"""Read the rows of a manifest as batches of pictures and classes."""
