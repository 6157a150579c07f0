"""Names that look the same are the same, and no name steers a terminal."""

# ruff: noqa: RUF001  # names that look alike are what it is about

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import listing
from pipeline.names import MAX_SHOWN, alike, clean, fault, key, printable, shown, shown_bytes, take_groups, take_labels

# Letters, and what nobody sees or what programs swap, more often than chance has it.
ODD = (
    "aA1.0 e\u0301é\u200b\u200c\u200d\u00a0\u3000\ufeff\u00ad\ufe0f\u034f\U000e0067\U0001f3f4İßﬁＡ–‘\x1b\x00\t\n\u0085"
)
TEXTS = st.text(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs"]), max_size=8)
FEW = settings(max_examples=200, deadline=None)

SAME = [
    pytest.param("Käse", unicodedata.normalize("NFD", "Käse"), id="NFC and NFD"),
    pytest.param("Käse", "Kä\u200bse", id="a zero-width space"),
    pytest.param("Käse", "\ufeffKäse", id="a byte order mark"),
    pytest.param("Käse", "Kä\u00adse", id="a soft hyphen"),
    pytest.param("Käse", "\u202aKäse\u202c", id="marks of direction"),
    pytest.param("Batch A", "Batch\u00a0A", id="a no-break space"),
    pytest.param("Batch A", "Batch\u3000\u2009 A", id="several blanks of other widths"),
    pytest.param("cat", " cat\r\n", id="blanks and line ends around it"),
    pytest.param("cat", "cat\u200d", id="a joiner that joins nothing"),
    pytest.param("e\u0301", "\u00e9", id="one letter"),
    pytest.param("e\u034f\u0301", "\u00e9", id="a grapheme joiner inside a letter"),
]
MAYBE = [
    pytest.param("cat", "Cat", id="capitals"),
    pytest.param("STRASSE", "straße", id="capitals of other letters"),
    pytest.param("12", "12.0", id="a whole number as a float"),
    pytest.param("7", "007", id="zeros that a spreadsheet took"),
    pytest.param("1.5", "1.50", id="a zero at the end"),
    pytest.param("0", "-0.0", id="no number below nothing"),
    pytest.param("A-1", "A\u20131", id="a dash that a program put there"),
    pytest.param("John's", "John\u2019s", id="a quote that a program put there"),
    pytest.param("Cam 1", "Ｃａｍ １", id="wide letters"),
    pytest.param("file", "\ufb01le", id="a ligature"),
    pytest.param("A1", "\u04101", id="a Cyrillic letter among Latin ones"),
    pytest.param("Вера", "вера", id="capitals of Cyrillic letters"),
]
DIFFERENT = [
    ("cat", "cats"), ("1", "10"), ("1.1", "1.01"), ("-1", "1"), ("a b", "ab"), ("é", "e"), ("ё", "е"), ("m²", "m2"),
    ("µ", "m"), ("①", "1"), ("α", "a"), ("1e1", "10"), ("0x7", "7"),
    ("\U0001f3f4\U000e0067\U000e0062\U000e007f", "\U0001f3f4\U000e0075\U000e0073\U000e007f"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_looks_the_same_is_one_name(one: str, other: str) -> None:
    assert clean(one) == clean(other)
    assert key(one) == key(other)
    taken = take_labels([one, other])
    assert (set(taken.names.values()), taken.problems) == ({clean(one)}, ())
    assert shown_bytes(other) in taken.notes[0] or shown_bytes(one) in taken.notes[0]


@pytest.mark.parametrize(("one", "other"), MAYBE)
def test_labels_that_may_be_one_are_refused_with_their_bytes_and_groups_are_one_group(one: str, other: str) -> None:
    assert clean(one) != clean(other)
    assert key(one) == key(other)
    [problem] = take_labels([one, other]).problems
    [note] = take_groups([one, other]).notes
    for text in (problem, note):
        assert shown_bytes(one) in text
        assert shown_bytes(other) in text
    assert take_groups([one, other]).problems == ()


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_other_names_stay_apart(one: str, other: str) -> None:
    assert key(one) != key(other)
    assert take_labels([one, other]).problems == ()


def test_joiners_that_shape_letters_stay() -> None:
    for name in ("می\u200cخواهم", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u2764\ufe0f"):
        assert clean(name) == name


@FEW
@given(TEXTS)
def test_cleaning_twice_changes_nothing_and_bytes_do_not_count(name: str) -> None:
    cleaned = clean(name)
    assert clean(cleaned) == cleaned
    assert cleaned == cleaned.strip()
    assert clean(unicodedata.normalize("NFD", name)) == clean(unicodedata.normalize("NFC", name)) == cleaned
    assert key(cleaned) == key(name)


@FEW
@given(st.lists(TEXTS, max_size=8))
def test_sets_of_names_that_are_alike_do_not_depend_on_the_order(names: list[str]) -> None:
    assert alike(names) == alike(reversed(names))
    assert all(len({key(name) for name in found}) == 1 < len(found) for found in alike(names))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("a\0b", "has control characters"),
        ("\x1b[31mcat", "has control characters"),
        ("a\tb", "has control characters"),
        ("one\ntwo", "has control characters"),
        ("cat\x9b", "has control characters"),
        ("\u200b", "has no visible character"),
        ("\u3164", "has no visible character"),
        ("cat\n", None),
        ("🐈", None),
    ],
)
def test_what_can_be_no_name_is_said(name: str, wrong: str | None) -> None:
    assert fault(name) == wrong
    assert bool(take_labels([name]).problems) == (wrong is not None)


@FEW
@given(st.text(max_size=2 * MAX_SHOWN) | TEXTS)
def test_a_name_in_a_message_is_one_line_that_can_be_printed(name: str) -> None:
    assert shown(name).isprintable()
    assert len(shown(name)) <= MAX_SHOWN + 40
    assert listing([name]) == shown(name)
    assert shown_bytes(name + "\udcff").isprintable()


def test_a_text_for_a_terminal_keeps_its_lines_and_letters_and_nothing_that_steers() -> None:
    assert printable("a\nb é\u00a0🐈") == "a\nb é\u00a0🐈"
    assert printable("\x1b]0;x\x07\x9b1m\r\u202e\udcff") == "\\x1b]0;x\\x07\\x9b1m\\r\\u202e\\udcff"
