"""The order in which an epoch of training sees its rows."""

from collections.abc import Iterator

from pipeline.core.randomness import keyed_generator


class KeyedOrder:
    """Row numbers 0 to rows - 1 in an order that depends on seed and epoch alone.

    Args:
        first: the epoch that training begins with, where it goes on after a stop.
    """

    def __init__(self, rows: int, seed: int, first: int = 0) -> None:
        self.rows = rows
        self.seed = seed
        self.first = first
        self.epoch = first

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[int]:
        yield from map(int, keyed_generator(self.seed, "order", self.epoch).permutation(self.rows))

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, which it counts from the first that is left."""
        self.epoch = self.first + epoch
