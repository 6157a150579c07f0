"""Repeat, drop or weigh rows of train."""
