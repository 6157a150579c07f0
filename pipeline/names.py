"""Names that people gave to labels and groups: which are valid, which are equal, and how messages show them.

Two names that look the same on a screen are one name to a person. `clean` takes away what nobody sees; it looks at
one name alone, so that folders, tables, exports and sources come to the same name without knowing of each other.
`key` is equal for names that a person, a keyboard or a program may have written for one another. A label is never
guessed by it: `alike` finds labels that are refused. Groups with one key are one group, which at worst keeps apart
images together; taken apart, they leak.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Letters of a name, and bytes, that a message shows.
MAX_SHOWN = 300
MAX_BYTES_SHOWN = 32

# Default_Ignorable_Code_Point of Unicode and the interlinear marks: what is drawn as nothing.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Those that shape the letters around them, in Persian, Indic scripts and emoji; they are drawn as nothing elsewhere.
_JOINERS = "\u200c\u200d"
_SHAPERS = f"{_JOINERS}\ufe00-\ufe0f\U000e0020-\U000e007f\U000e0100-\U000e01ef"
_NEVER_SEEN = re.compile(f"(?![{_SHAPERS}])[{_INVISIBLE}]")
_IDLE_SHAPERS = re.compile(f"(?<![^\x00-\x7f])[{_SHAPERS}]+|[{_JOINERS}]+(?![^\x00-\x7f])")
_TAGS = "\U000e0020-\U000e007f"
_SHAPERS_OF_KEYS = re.compile(f"(?![{_TAGS}])[{_SHAPERS}]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Full-width and half-width forms, and ligatures of Latin letters.
_FORMS = re.compile("[\uff01-\uffee\ufb00-\ufb06]+")
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"
_QUOTES = "\u2018\u2019\u201b\u02bc\u2032\u00b4`"
_DOUBLE_QUOTES = "\u201c\u201d\u201f\u2033"
# Cyrillic letters that are drawn as Latin ones, in one case or the other: a slip between two keyboards.
_TWINS = str.maketrans(
    {
        **dict.fromkeys(_DASHES, "-"),
        **dict.fromkeys(_QUOTES, "'"),
        **dict.fromkeys(_DOUBLE_QUOTES, '"'),
        **dict(zip("авекмнорстухіјѕ", "abekmhopctyxijs", strict=True)),
    }
)
_NUMBER = re.compile(r"([+-]?)0*(\d+?)(?:\.(\d*?)0*)?")
# What programs write for a cell that is empty, or that they could not fill.
NOTHING = frozenset(
    {"nan", "NaN", "NAN", "-nan", "<NA>", "NaT", "None", "null", "NULL", "#N/A", "#NV", "#NAME?", "#VALUE!", "#REF!"}
    | {"#DIV/0!", "#NUM!", "#NULL!", "undefined"}
)


@dataclass(frozen=True)
class TakenNames:
    """Names as they are taken: by how they are written; what is wrong with them, and what was changed, in words."""

    names: Mapping[str, str]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def clean(name: str) -> str:
    """The name in Unicode NFC, without invisible characters, with single spaces and none at its ends.

    Two names that clean to the same text are the same name. Cleaning twice changes nothing.
    """
    if name.isascii() and name.isprintable():
        return " ".join(name.split())
    while (cleaned := _cleaned(name)) != name:
        name = cleaned
    return name


def key(name: str) -> str:
    """A key that is equal for names that somebody may have meant as the same name.

    Beyond `clean`: capitals, forms of one letter (wide, ligatures), dashes, quotes, Cyrillic letters that are drawn
    as Latin ones, and digits of one number (12, 12.0, 012).
    """
    name = clean(name)
    if not name.isascii():
        name = _SHAPERS_OF_KEYS.sub("", name)
        name = _FORMS.sub(lambda found: unicodedata.normalize("NFKC", found[0]), name)
        # Folding may take a letter apart that has no small form of its own.
        name = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).translate(_TWINS)
        # Folding may leave what shapes a letter without one.
        name = clean(name)
    number = _NUMBER.fullmatch(name) if name.isascii() else None
    if number is None:
        return name.casefold()
    sign, whole, part = number.groups()
    digits = f"{whole}.{part}" if part else whole
    return f"-{digits}" if sign == "-" and digits != "0" else digits


def fault(name: str) -> str | None:
    """Why a text that is not empty is not a valid name; None if it is valid."""
    if _CONTROL.search(name.strip()):
        return "has control characters"
    return None if clean(name) else "has no visible character"


def is_utf8(name: str) -> bool:
    """Whether a text can be written as UTF-8; halves of characters, and bytes of another encoding, cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def alike(names: Iterable[str]) -> list[list[str]]:
    """The sets of different names that share one key, sorted."""
    of_key: dict[str, set[str]] = {}
    for name in names:
        of_key.setdefault(key(name), set()).add(name)
    return sorted(sorted(found) for found in of_key.values() if len(found) > 1)


def take_labels(written: Iterable[str]) -> TakenNames:
    """Clean the labels; ambiguous ones are problems. "" means no label and stays."""
    taken = _taken("labels", written)
    return TakenNames(taken.names, (*taken.problems, *alike_labels(taken.names.values())), taken.notes)


def take_groups(written: Iterable[str]) -> TakenNames:
    """Clean the groups; those that share a key stay as they are written, and a note says that they are one group."""
    taken = _taken("groups", written)
    return TakenNames(taken.names, taken.problems, (*taken.notes, *one_group(taken.names.values())))


def alike_labels(labels: Iterable[str], where: Mapping[str, str] | None = None) -> list[str]:
    """A message if some of the labels may mean the same class.

    Args:
        where: what is said of each label, such as the sources that have it.
    """
    found = alike(label for label in labels if label)
    if not found:
        return []
    said = {label: f" {where[label]}" for names in found for label in names} if where is not None else {}
    sets = _few(" and ".join(f"{shown_bytes(label)}{said.get(label, '')}" for label in names) for names in found)
    return [
        f"labels that may mean the same class, spelt in several ways (bytes in brackets): {sets}. Spell each class one "
        "way; if they are different classes, give them names that differ in more than capitals, zeros or forms of a "
        "letter"
    ]


def one_group(groups: Iterable[str]) -> list[str]:
    """A note if some of the groups are treated as one."""
    found = alike(group for group in groups if group)
    sets = _few(" and ".join(map(shown_bytes, names)) for names in found)
    return [f"groups that are spelt in several ways count as one group (bytes in brackets): {sets}"] if found else []


def as_utf8(text: str) -> str:
    """A text that can be written as UTF-8: what cannot is escaped, with a backslash."""
    return text.encode(errors="backslashreplace").decode()


def shown(name: str, most: int = MAX_SHOWN) -> str:
    """A name for a message: one line of printable characters, of bounded length."""
    text = name if name.isprintable() else "".join(map(_escaped, name))
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]} ({len(name)} characters)"


def shown_bytes(name: str) -> str:
    """A name with its bytes in UTF-8, to distinguish it from one that looks the same."""
    data = name.encode(errors="surrogateescape")
    return f"{shown(name)} [{data[:MAX_BYTES_SHOWN].hex(' ')}{' …' if len(data) > MAX_BYTES_SHOWN else ''}]"


def printable(text: str) -> str:
    """A text of several lines for a terminal: control characters and invalid characters are escaped."""
    return _UNPRINTABLE.sub(lambda found: _escaped(found[0]), text)


def _taken(what: str, written: Iterable[str]) -> TakenNames:
    names = {name: clean(name) for name in dict.fromkeys(written)}
    # Blanks alone are an empty cell.
    given = [name for name in names if name.strip()]
    faults: dict[str, list[str]] = {}
    for name in given:
        if (wrong := fault(name)) is not None:
            faults.setdefault(wrong, []).append(name)
    problems = tuple(
        f"{len(found)} of the {what} {why}: {_few(map(shown_bytes, found))}. Rename them, with visible characters only"
        for why, found in faults.items()
    )
    changed = [name for name in given if names[name] != name and fault(name) is None]
    note = (
        f"{what} were cleaned (spaces at the ends, invisible characters, other bytes for the same letters): "
        f"{_few(f'{shown_bytes(name)} as {shown_bytes(names[name])}' for name in changed)}"
    )
    return TakenNames(names, problems, (note,) if changed else ())


def _cleaned(name: str) -> str:
    name = _NEVER_SEEN.sub("", unicodedata.normalize("NFC", name))
    name = " ".join(name.split())
    return unicodedata.normalize("NFC", _IDLE_SHAPERS.sub("", name))


def _escaped(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


def _few(items: Iterable[str], most: int = 5) -> str:
    listed = list(items)
    more = f"; and {len(listed) - most} more" if len(listed) > most else ""
    return "; ".join(listed[:most]) + more
