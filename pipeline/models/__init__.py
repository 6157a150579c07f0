"""Models: from params to a network, to its predictions, and to bytes and back."""
