"""List the files of all sources, with their hashes."""
