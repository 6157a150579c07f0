"""A project: its params, its DVC files, and how its stages run."""
