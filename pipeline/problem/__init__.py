"""What the model should tell of an image: one of several classes, in an order or a tree or not; labels; or a number."""
