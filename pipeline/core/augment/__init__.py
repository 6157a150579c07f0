"""New variants of pictures."""
