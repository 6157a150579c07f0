"""Evaluate the model on test, and record it in the ledger."""
