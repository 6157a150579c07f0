"""Sources: their files, in folders, archives or object stores, with labels and metadata from tables."""
