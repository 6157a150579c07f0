"""Search for better params: which of them vary, in which ranges, and how values are chosen. Optuna does the search."""
