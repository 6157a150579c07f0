"""Data preparation for image classifiers, from files on disk to a diagnosis."""
