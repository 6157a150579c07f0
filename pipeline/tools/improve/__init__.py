"""Do what a careful engineer would: diagnose, try the advice that promises most, keep what helps, and begin again."""
