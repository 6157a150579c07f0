"""Ensembles: several models instead of one, where that helps beyond noise."""
