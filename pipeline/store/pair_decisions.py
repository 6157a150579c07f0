"""People's decisions on pairs of pictures, feedback/pairs.csv: whether two contents show the same thing."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter

from pipeline.store.decision_tables import SHA256, Check, DecisionTable, hinted, person_checks

SAME, NOT_SAME, NOT_SURE = "same", "not_same", "not_sure"
KINDS = (SAME, NOT_SAME, NOT_SURE)


@dataclass(frozen=True)
class PairDecision:
    """One person's decision on two contents, one < other; fields in the order of the file's columns."""

    one: str
    """SHA-256 of a content."""
    other: str
    decision: str
    """One of KINDS."""
    who: str
    when: str
    """ISO 8601 with the time zone."""
    why: str = ""
    one_id: str = ""
    """Of one image with this content, for people who read the file; nothing looks it up."""
    other_id: str = ""

    @property
    def subject(self) -> str:
        return pair_name(self.one, self.other)

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.when)


def pair_name(one: str, other: str) -> str:
    """What a pair is called, whichever content is named first."""
    return f"{min(one, other)} {max(one, other)}"


def decide_pair(ends: Sequence[tuple[str, str]], decision: str, who: str, when: str, why: str) -> PairDecision:
    """A decision on two images, each given as content and id, in any order."""
    (one, one_id), (other, other_id) = sorted(ends)
    return PairDecision(one, other, decision, who, when, why, one_id, other_id)


def _made(cells: Sequence[str]) -> PairDecision:
    one, other, decision, who, when, why, one_id, other_id = cells
    return decide_pair([(one, one_id), (other, other_id)], decision, who, when, why)


PAIRS: DecisionTable[PairDecision] = DecisionTable(
    columns=("one", "other", "decision", "who", "when", "why", "one_id", "other_id"),
    optional=("why", "one_id", "other_id"),
    make=_made,
    values=attrgetter(*(one.name for one in fields(PairDecision))),
    checks=(
        Check(
            lambda one: not (SHA256.fullmatch(one.one) and SHA256.fullmatch(one.other)),
            lambda one: one.subject,
            "one and other must be the SHA-256 of a file, 64 digits 0-9 and a-f",
        ),
        Check(
            lambda one: one.one == one.other,
            lambda one: one.one,
            "one and other must differ: files with equal content are always one group",
        ),
        Check(
            lambda one: one.decision not in KINDS,
            lambda one: hinted(one.decision, KINDS),
            f"decision must be {', '.join(KINDS)}",
        ),
        *person_checks(),
    ),
)
