"""Write the demonstration images."""
