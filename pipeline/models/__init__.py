"""Models: built from params, used for predictions, saved to files and loaded."""
