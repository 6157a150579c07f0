"""Which images are the same, or nearly."""
