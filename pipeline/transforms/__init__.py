"""Variants of pictures, made by albumentations."""
