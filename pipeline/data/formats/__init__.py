"""Formats that other programs open: the prepared images of each split as folders, tar files or tables."""
