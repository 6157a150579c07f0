"""Show what training sees."""
