"""What differs between the data of two runs, and how much of a metric's change is due to it."""
