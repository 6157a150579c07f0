"""Many models, ranked on dev."""
