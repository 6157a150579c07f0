"""What differs between the data of two runs, and how much of the metric's change that explains."""
