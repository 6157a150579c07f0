"""Which labels may be wrong."""
