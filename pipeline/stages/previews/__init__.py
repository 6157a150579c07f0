"""Draw contact sheets: training images beside their variants, and the first batch."""
