"""The review page: look at images and decide on their labels, in a browser on this machine."""
