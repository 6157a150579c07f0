"""Contact sheets: pictures and captions, drawn as PNG files."""
