"""Join the sources: remove exact duplicates, resolve conflicting labels, group near copies, mark issues."""
