"""Exceptions that a unit has caught, by name, and whether anything is made of their text."""

from collections.abc import Iterator
from contextlib import contextmanager

# Attributes of an exception that lead to its message.
WORDS_OF_ERRORS = frozenset({"__cause__", "__context__", "__notes__", "__str__", "args", "message"})


class Caught:
    """Names of the exceptions that are caught where the writer is."""

    def __init__(self) -> None:
        # Name of a caught exception -> how often its text is used.
        self._uses: dict[str, int] = {}
        self._raising = 0

    def __contains__(self, name: str) -> bool:
        return name in self._uses

    def use(self, name: str) -> None:
        """Count a use, but for those in a message of another error."""
        if name in self._uses and not self._raising:
            self._uses[name] += 1

    def uses(self, name: str) -> int:
        """How often the text of an exception was used so far."""
        return self._uses[name]

    @contextmanager
    def raising(self) -> Iterator[None]:
        """What is written inside is raised."""
        self._raising += 1
        yield
        self._raising -= 1

    @contextmanager
    def inside(self, name: str | None) -> Iterator[None]:
        """A handler, which gives what it catches a name, or none."""
        outer = dict(self._uses)
        if name:
            self._uses[name] = 0
        yield
        self._uses = outer
