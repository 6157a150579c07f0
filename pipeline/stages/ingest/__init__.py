"""Read one source: check, turn upright, resize and hash its images."""
