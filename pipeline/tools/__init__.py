"""Tools: commands that are not stages."""
