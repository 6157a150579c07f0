"""Contact sheets: pictures with captions, drawn as PNG files."""
