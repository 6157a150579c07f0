"""From the errors of a run to what holds the model back, and what to try next."""
