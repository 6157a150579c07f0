"""Draw a map of the data: images that look alike lie near each other."""
