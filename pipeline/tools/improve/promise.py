"""The expected gain of a move per minute: its gain in points if it helps, times the chance that it helps, over minutes.

Chances and gains are those of planted diseases: hit_rates.csv, whose rows `benchmarks/improve.py --rates` counted. Each
is shrunk: a row of two runs says little. What was tried here counts as well, so that after two failures for one
finding another finding's turn comes.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from pipeline.diagnosis.gaps import PAIRS
from pipeline.manifest import DEV
from pipeline.tools.improve.moves import Move

TABLE = "hit_rates.csv"
# Beta(1, 1), Laplace's rule: as if one more had helped, and one more had not.
PRIOR = 1
# A gain where the benchmark has none, as a share of what the move could gain at most.
SHARE = 0.5
# A move without a known time counts as one that takes so many minutes.
UNKNOWN_MINUTES = 1.0


@dataclass(frozen=True)
class Promise:
    """chance: in (0, 1). points: of gain if it helps. minutes: None where nothing says it."""

    chance: float
    points: float
    minutes: float | None

    @property
    def worth(self) -> float:
        """Expected points a minute."""
        return self.chance * self.points / max(self.minutes or UNKNOWN_MINUTES, 1e-3)


@dataclass(frozen=True)
class HitRate:
    """Of so many runs in which advice for a finding was followed, in how many it helped, and by how many points."""

    tried: int
    helped: int
    points: float


@cache
def hit_rates() -> Mapping[str, HitRate]:
    """By finding."""
    text = files("pipeline.tools.improve").joinpath(TABLE).read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {row["finding"]: HitRate(int(row["tried"]), int(row["helped"]), float(row["points"])) for row in rows}


def promise_of(
    move: Move, place: int, diagnosis: Mapping[str, Any], failures: Sequence[str], minutes: float | None
) -> Promise:
    """What a move promises.

    Args:
        place: how many moves for the same finding stand before it: the table of advice has the likeliest first.
        failures: the findings of moves that were tried and not kept.
        minutes: that it takes.
    """
    rate = hit_rates().get(move.finding, HitRate(0, 0, 0.0))
    misses = rate.tried - rate.helped + failures.count(move.finding) + place
    chance = (rate.helped + PRIOR) / (rate.helped + misses + 2 * PRIOR)
    most = 100 * _most(move.finding, diagnosis)
    points = min(most, rate.points) if rate.helped else SHARE * most
    return Promise(chance, points, minutes)


def _most(finding: str, diagnosis: Mapping[str, Any]) -> float:
    """The share of errors that mending a gap or finding could take off dev at most."""
    if finding in PAIRS:
        return max(next((float(gap["value"]) for gap in diagnosis["gaps"] if gap["name"] == finding), 0.0), 0.0)
    gains = [float(each["gain"]) for each in diagnosis["findings"] if each["name"] == finding]
    dev = next((float(level["error"]) for level in diagnosis["levels"] if level["name"] == DEV), 0.0)
    return min(max(gains, default=0.0) or dev, dev)
