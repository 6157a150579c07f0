"""How often each row of train counts."""
