"""Pictures on paper."""
