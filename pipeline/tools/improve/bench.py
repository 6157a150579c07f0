"""Who runs the moves of the loop, what a run gives, and when to stop."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.metrics.comparison import Result
from pipeline.tools.improve.moves import Move


@dataclass(frozen=True)
class State:
    """A run: its result, its diagnosis as diagnosis.json has it, and its params as plain values."""

    result: Result
    diagnosis: Mapping[str, Any]
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Search:
    """What a search of params found: its changes, empty if nothing is better; flattered: what its own choice adds."""

    changes: Mapping[str, Any]
    words: str
    flattered: float = 0.0


class Bench(Protocol):
    """Who runs moves."""

    def run(self, name: str, values: Mapping[str, Any]) -> State:
        """Run params from today's commit on.

        Raises:
            PipelineError: the run failed.
        """

    def minutes(self, values: Mapping[str, Any], after: Mapping[str, Any], diagnosed: State) -> float | None:
        """About how long a run takes; None where nothing says it."""

    def search(self, state: State, name: str, minutes: float | None) -> Search | None:
        """Search params around a run's own, for so long (None: no limit); None where no search is set up."""

    def ensembles(self, state: State) -> Sequence[Move]:
        """The ensembles that a run's params allow, the cheapest first."""

    def command(self, values: Mapping[str, Any], name: str) -> str:
        """The command that such a run is, to show."""


@dataclass(frozen=True)
class Budget:
    """When to stop: after so many tries in all, those of an earlier call among them, or at a time of time.monotonic."""

    runs: int | None
    until: float | None

    def spent(self, tried: int) -> bool:
        """Whether nothing may begin any more."""
        return (self.runs is not None and tried >= self.runs) or self.left() <= 0

    def left(self) -> float:
        """Minutes; infinite without a limit."""
        return float("inf") if self.until is None else (self.until - time.monotonic()) / 60
