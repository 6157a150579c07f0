"""Balance the classes of train: repeat, drop or weight its rows."""
