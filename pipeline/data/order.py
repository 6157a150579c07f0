"""The order in which an epoch of training sees its rows."""

from collections.abc import Iterator

from pipeline.randomness import keyed_generator


class KeyedOrder:
    """Row numbers 0 to rows - 1 in an order that depends on seed and epoch alone.

    Args:
        first: the epoch that training begins with, where it goes on after a stop.
        start: rows of that epoch that were seen before the stop; later epochs are whole.
    """

    def __init__(self, rows: int, seed: int, first: int = 0, start: int = 0) -> None:
        self.rows = rows
        self.seed = seed
        self.first = first
        self.start = start
        self.epoch = first

    def __len__(self) -> int:
        """Rows of a whole epoch."""
        return self.rows

    def __iter__(self) -> Iterator[int]:
        order = keyed_generator(self.seed, "order", self.epoch).permutation(self.rows)
        yield from map(int, order[self.start if self.epoch == self.first else 0 :])

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, which it counts from the first that is left."""
        self.epoch = self.first + epoch
