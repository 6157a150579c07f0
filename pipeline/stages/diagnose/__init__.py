"""Say what holds the model back."""
