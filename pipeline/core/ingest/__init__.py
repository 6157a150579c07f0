"""What a file is, and why it is refused."""
