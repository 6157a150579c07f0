"""A function of a project that builds a network, as users write one, for tests that go through all networks."""

from torch import nn


def build(classes: int, size: int, width: int = 4) -> nn.Module:
    """A small network whose output layer is found at its first picture."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.AvgPool2d(size // 2), nn.Flatten(),
        nn.Linear(width * 4, classes),
    )  # fmt: skip
