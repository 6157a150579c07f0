"""What a source holds: its files, wherever they lie, and what its tables say of them."""
