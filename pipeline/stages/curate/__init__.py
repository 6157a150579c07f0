"""Join the sources."""
