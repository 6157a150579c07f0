"""Check, decode and resize the images of one source."""
