"""What people say is on images, and which ones to ask them about."""
