"""Write the demonstration images: two sources of handwritten digits."""
