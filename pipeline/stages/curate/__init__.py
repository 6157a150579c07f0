"""Join the sources, remove exact duplicates, group near-duplicates and mark image issues."""
