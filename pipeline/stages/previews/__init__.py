"""Show what training sees: images beside their variants, and a batch."""
