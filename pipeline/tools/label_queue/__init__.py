"""Choose the images to label next."""
