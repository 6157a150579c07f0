"""Which images people should label next."""
