"""List the files of all sources."""
