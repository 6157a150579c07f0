"""Work spread over processes, limits on it, and its progress."""
