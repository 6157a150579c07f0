"""People's decisions on labels, feedback/labels.csv: a row is what one person decided on one content."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter

from pipeline.names import clean, fault
from pipeline.store.decision_tables import SHA256, Check, DecisionTable, hinted, person_checks

KEEP, RELABEL, DROP, NOT_SURE = "keep", "relabel", "drop", "not_sure"
KINDS = (KEEP, RELABEL, DROP, NOT_SURE)


@dataclass(frozen=True)
class Decision:
    """One person's decision on one content; fields in the order of the file's columns."""

    sha256: str
    decision: str
    """One of KINDS."""
    before: str
    """The label that the person saw, as the source has it; "" for none."""
    after: str
    """The label to use instead; "" unless the decision is `relabel`."""
    who: str
    when: str
    """ISO 8601 with the time zone."""
    why: str = ""
    id: str = ""
    """Of one image with this content, for people who read the file; nothing looks it up."""

    @property
    def subject(self) -> str:
        return self.sha256

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.when)


def _made(cells: Sequence[str]) -> Decision:
    sha256, decision, before, after, *rest = cells
    return Decision(sha256, decision, clean(before), clean(after), *rest)


def _fault(label: str) -> str | None:
    return fault(label) if label else None


LABELS: DecisionTable[Decision] = DecisionTable(
    columns=("sha256", "decision", "from", "to", "who", "when", "why", "id"),
    optional=("why", "id"),
    make=_made,
    # As dataclasses.astuple, which copies each value, and takes twenty times as long.
    values=attrgetter(*(one.name for one in fields(Decision))),
    checks=(
        Check(
            lambda one: not SHA256.fullmatch(one.sha256),
            lambda one: one.sha256,
            "sha256 must be 64 digits 0-9 and a-f",
        ),
        Check(
            lambda one: one.decision not in KINDS,
            lambda one: hinted(one.decision, KINDS),
            f"decision must be {', '.join(KINDS)}",
        ),
        Check(
            lambda one: bool(_fault(one.before)),
            lambda one: one.before,
            "from must be a label without control characters",
        ),
        Check(
            lambda one: bool(_fault(one.after)), lambda one: one.after, "to must be a label without control characters"
        ),
        Check(
            lambda one: one.decision == RELABEL and not one.after,
            lambda one: one.decision,
            "relabel needs a label in to",
        ),
        Check(
            lambda one: one.decision == RELABEL and one.after == one.before != "",
            lambda one: one.after,
            "relabel needs another label in to than in from; to confirm a label, write keep",
        ),
        Check(
            lambda one: one.decision in KINDS and one.decision != RELABEL and one.after != "",
            lambda one: one.after,
            "only relabel has a label in to: empty the cell, or write relabel",
        ),
        Check(
            lambda one: one.decision == KEEP and not one.before,
            lambda one: one.decision,
            "keep needs the label in from; to give an unlabelled image a label, write relabel",
        ),
        *person_checks(),
    ),
)
