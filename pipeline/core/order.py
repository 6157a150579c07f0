"""The order in which an epoch of training sees its rows."""

from collections.abc import Iterator

from pipeline.core.randomness import keyed_generator


class KeyedOrder:
    """Row numbers 0 to rows - 1 in an order that depends on seed and epoch alone.

    Args:
        epoch, start: where a run that was stopped goes on: in this epoch, after so many of its rows.
            Later epochs are whole.
    """

    def __init__(self, rows: int, seed: int, epoch: int = 0, start: int = 0) -> None:
        self.rows = rows
        self.seed = seed
        self.epoch = epoch
        self._resumed = (epoch, start)

    def __len__(self) -> int:
        """Rows of a whole epoch, as Lightning counts the rows that were seen before a stop."""
        return self.rows

    def __iter__(self) -> Iterator[int]:
        epoch, start = self._resumed
        order = keyed_generator(self.seed, "order", self.epoch).permutation(self.rows)
        yield from map(int, order[start if self.epoch == epoch else 0 :])

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch
