"""The order in which an epoch of training sees its rows."""

from collections.abc import Iterator

from pipeline.randomness import keyed_generator


class KeyedOrder:
    """Row numbers 0 to rows - 1 in an order that depends on seed and epoch alone; it begins with epoch 0."""

    def __init__(self, rows: int, seed: int) -> None:
        self.rows = rows
        self.seed = seed
        self.epoch = 0
        self._start = 0

    def __len__(self) -> int:
        """Rows of a whole epoch."""
        return self.rows

    def __iter__(self) -> Iterator[int]:
        order = keyed_generator(self.seed, "order", self.epoch).permutation(self.rows)
        yield from order[self._start :].tolist()

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Go to an epoch, counted from 0, of which so many rows were seen before."""
        self.epoch = epoch
        self._start = start
