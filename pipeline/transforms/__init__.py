"""Variants of pictures, by albumentations."""
