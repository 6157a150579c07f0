"""List the images whose labels may be wrong."""
