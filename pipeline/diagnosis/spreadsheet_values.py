"""Whether a spreadsheet cell is a name that the program took for a number, a date or a truth value."""

import re
from collections import Counter

# Programs translate their truth values.
TRUE = frozenset({"true", "wahr", "vrai", "verdadero", "vero"})
FALSE = frozenset({"false", "falsch", "faux", "falso"})
DAY = re.compile(r"[0-9]{1,4}([-/.] ?[0-9]{1,4}){1,2}")


def same_name(cell: str, value: str) -> bool:
    """Whether a cell is a class, perhaps as a program wrote it that took it for a number, a day or a truth value.

    So may 007 come back as 7, 1.50 as 1,5, 1/2 as 02/01/2026, and true as WAHR.
    """
    told, meant = cell.strip(), value.strip()
    if told in {"", meant} or any({told.casefold(), meant.casefold()} <= words for words in (TRUE, FALSE)):
        return True
    try:
        return float(told.replace(",", ".")) == float(meant.replace(",", "."))
    except ValueError:
        # A day has its numbers in another order, perhaps with a year, of two digits or four.
        return bool(DAY.fullmatch(told) and DAY.fullmatch(meant)) and not _numbers(meant) - _numbers(told)


def _numbers(day: str) -> Counter[int]:
    return Counter(int(number) % 100 for number in re.findall("[0-9]+", day))
