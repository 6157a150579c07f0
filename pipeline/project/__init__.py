"""What a project is: its params, and how its stages are run."""
