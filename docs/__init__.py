"""Guides, and what writes the derived pages."""
