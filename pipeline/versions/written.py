"""What is known of a unit once it is written, and what may be chosen of how."""

from dataclasses import dataclass

from pipeline.versions.names import Target
from pipeline.versions.registries import Rows


@dataclass
class Handler:
    """A handler that makes a text of what it catches: those classes, and what is called where it catches."""

    caught: tuple[str, ...]
    body: list[Target | Rows]


@dataclass
class Written:
    """A unit's text, what it refers to, its handlers, and the literal texts in it that may be names."""

    text: str
    targets: list[Target | Rows]
    handlers: list[Handler]
    words: frozenset[str]


@dataclass(frozen=True)
class Choice:
    """How a unit is written.

    loud: classes of exceptions whose messages count here, because somebody catches them and uses their words.
    rows: of a registry, the names of the rows that count; None: all of it.
    """

    loud: frozenset[str] = frozenset()
    rows: frozenset[str] | None = None
