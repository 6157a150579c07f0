"""The vault of the test set."""
