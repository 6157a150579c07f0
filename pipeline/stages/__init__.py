"""A folder per stage: what it reads and writes (stage.py), its section of params.yaml (params.py), its own modules."""
