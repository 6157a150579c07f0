"""How errors and their differences are written: shares in per cent and points, errors of numbers in their own unit."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """The unit of errors. numbers: whether they are of numbers, whose unit is that of the column."""

    numbers: bool = False

    def level(self, error: float, digits: int = 2) -> str:
        """An error: `2.04%`, or `0.731`."""
        return f"{error:.3g}" if self.numbers else f"{error:.{digits}%}"

    def bare(self, difference: float) -> str:
        """A difference where the unit is said elsewhere: `2.0`, or `0.731`."""
        return f"{difference:.3g}" if self.numbers else f"{100 * difference:.1f}"

    def size(self, difference: float) -> str:
        """A difference: `2.0 points`, or `0.731`."""
        return self.bare(difference) if self.numbers else f"{self.bare(difference)} points"

    def meaning(self, text: str) -> str:
        """What a gap says of a model; numbers are off, not mistaken."""
        return text.replace("more mistakes", "larger errors").replace("mistakes", "errors") if self.numbers else text


SHARES, NUMBERS = Unit(), Unit(numbers=True)
