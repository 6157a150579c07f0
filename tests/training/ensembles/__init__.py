"""Ensembles: members, selection, pools, and whole fits of each kind."""
