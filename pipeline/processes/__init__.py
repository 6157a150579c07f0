"""Work spread over processes, and limits on it."""
