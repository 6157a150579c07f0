"""Read one source."""
