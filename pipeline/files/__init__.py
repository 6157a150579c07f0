"""All that touches files."""
