"""Join the sources: remove exact duplicates, settle conflicting labels, group near copies, mark issues."""
