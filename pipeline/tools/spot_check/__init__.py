"""Try many models and rank them on dev."""
