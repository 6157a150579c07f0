"""Drawing: pictures stand on the paper pixel by pixel, and no name breaks a sheet."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.pixels import Pixels
from pipeline.sheets.drawing import (
    BAR,
    COLOURS,
    FONT_LACKS,
    FRAME,
    GAP,
    MARGIN,
    PAPER,
    RULE,
    SIDE,
    Cell,
    Section,
    Sheet,
    Strip,
    draw_sheet,
    drawable,
    fitted,
)
from tests.examples import REPOSITORY, picture

HOSTILE = [
    "x" * 100_000,
    "\u82f9\u679c",  # apple, in Chinese
    "\u0645\u0648\u0632",  # banana, in Arabic, written from right to left
    "\U0001f34e",  # an apple's emoji
    "\u202egnp.exe",  # turns the direction of writing
    "a\x00b\nc\td\x1b[31m",
    "\udcff",  # a byte that is not UTF-8
    "e" + "\u0301" * 500,  # accents upon accents
    "{label} %s <b>",
    " ",
]


def sheet(cells: Sequence[Cell] = (), columns: int = 4, **words: str) -> Pixels:
    strips = [Strip(words.get("strip", ""), cells, None)] if cells else []
    section = Section(words.get("heading", ""), strips)
    return draw_sheet(Sheet(words.get("title", "title"), [words.get("line", "line")], [section], columns))


def column(number: int) -> int:
    """Where the picture of a column begins, from the left."""
    return MARGIN + number * (SIDE + 2 * FRAME + GAP) + FRAME


def tops(page: Pixels, shown: Pixels, number: int) -> list[int]:
    """Where in a column the picture stands, from the top."""
    height, width = shown.shape[:2]
    left = column(number)
    places = range(len(page) - height + 1)
    return [top for top in places if np.array_equal(page[top : top + height, left : left + width], shown)]


@pytest.mark.parametrize("side", [1, 8, 28, 80, 81, 160])
def test_a_small_picture_is_enlarged_by_whole_factors(side: int) -> None:
    pixels = picture(side, side, side)
    shown = fitted(pixels)
    factor = len(shown) // side
    assert SIDE - side < side * factor <= SIDE
    np.testing.assert_array_equal(shown, np.kron(pixels, np.ones((factor, factor, 1), np.uint8)))


@pytest.mark.parametrize("side", [161, 224, 1024])
def test_a_large_picture_is_reduced_by_averaging(side: int) -> None:
    assert fitted(picture(1, side, side)).shape == (SIDE, SIDE, 3)
    halves = np.zeros((2 * SIDE, 2 * SIDE, 3), np.uint8)
    halves[::2] = 200
    np.testing.assert_array_equal(fitted(halves), np.full((SIDE, SIDE, 3), 100))


@settings(deadline=None, max_examples=50)
@given(height=st.integers(1, 400), width=st.integers(1, 400))
def test_any_shape_fits_and_keeps_its_proportions(height: int, width: int) -> None:
    shown = fitted(np.zeros((height, width, 3), np.uint8))
    assert max(shown.shape[:2]) <= SIDE
    assert abs(shown.shape[0] - max(shown.shape[:2]) * height / max(height, width)) <= 1
    assert abs(shown.shape[1] - max(shown.shape[:2]) * width / max(height, width)) <= 1


def test_each_picture_stands_in_its_place() -> None:
    pictures = [picture(seed, 28, 28) for seed in range(6)]
    page = sheet([Cell(pixels, ("a", "b")) for pixels in pictures], columns=4)
    places = [tops(page, fitted(pixels), number % 4) for number, pixels in enumerate(pictures)]
    assert [len(found) for found in places] == [1] * 6
    rows = [found[0] for found in places]
    assert rows[0] == rows[1] == rows[2] == rows[3] < rows[4] == rows[5]
    assert page.shape[1] == column(3) + SIDE + FRAME + MARGIN


def test_a_picture_has_a_frame_so_that_a_white_one_is_seen() -> None:
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    framed = np.full((SIDE + 2, SIDE + 2, 3), RULE, np.uint8)
    framed[1:-1, 1:-1] = 255
    page = sheet([Cell(white)])
    left = column(0) - FRAME
    found = [
        top
        for top in range(len(page) - SIDE - 2)
        if np.array_equal(page[top : top + SIDE + 2, left : left + SIDE + 2], framed)
    ]
    assert len(found) == 1


@pytest.mark.parametrize("role", COLOURS)
def test_a_role_has_a_bar_in_its_colour_before_the_words(role: str) -> None:
    page = draw_sheet(
        Sheet("t", [], [Section("h", [Strip("s", [Cell(picture(1), ("c",), role=None)], role)])], columns=2)
    )
    other = next(colour for name, colour in COLOURS.items() if name != role)
    bar = (page == COLOURS[role]).all(axis=2)
    assert set(np.flatnonzero(bar.any(axis=0))) == set(range(MARGIN, MARGIN + BAR))
    assert not (page == other).all(axis=2).any()


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("where", ["title", "line", "heading", "strip", "caption"])
def test_no_name_breaks_the_sheet(where: str, text: str) -> None:
    words = {where: text} if where != "caption" else {}
    cell = Cell(picture(3, 32, 32), (text if where == "caption" else "c",))
    page = sheet([cell], 4, **words)
    plain = sheet([Cell(cell.pixels, ("c",))], heading="x" if where == "heading" else "", strip="x")
    assert page.shape[1] == plain.shape[1]
    assert len(page) < len(plain) + 100
    assert len(tops(page, fitted(cell.pixels), 0)) == 1
    edges = [page[:MARGIN], page[-MARGIN:], page[:, :MARGIN], page[:, -MARGIN:]]
    assert all((edge == PAPER).all() for edge in edges)


@settings(deadline=None, max_examples=50)
@given(st.text())
def test_any_text_becomes_letters_that_the_font_has(text: str) -> None:
    letters = drawable(text)
    assert letters.isprintable()
    assert drawable(letters) == letters


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("apple 1.jpg", "apple 1.jpg"),
        ("Äpfel, pâté", "Apfel, pate"),
        ("A\u0308pfel", "Apfel"),  # as macOS writes names
        ("\u82f9", "\\u82f9"),
        ("a\nb\x00", "a\\nb\\x00"),
        ("\udcff", "\\udcff"),
        ("½ … “°”", "1⁄2 … “°”"),  # noqa: RUF001
        ("\ufb01g", "fig"),
    ],
)
def test_letters_that_the_font_lacks(text: str, letters: str) -> None:
    assert drawable(text) == letters


def test_the_sheet_says_that_its_font_lacks_letters() -> None:
    for where in ("title", "line", "heading", "strip"):
        lacking, plain = (sheet([Cell(picture(1))], 4, **{where: text}) for text in ("Äpfel", "Apfel"))
        assert len(lacking) == len(plain) + line_height()
    lacking, plain = (sheet([Cell(picture(1), (text,))]) for text in ("Äpfel", "Apfel"))
    told = draw_sheet(
        Sheet("title", ["line", FONT_LACKS], [Section("", [Strip("", [Cell(picture(1), ("Apfel",))])])], 4)
    )
    assert len(lacking) == len(plain) + line_height()
    np.testing.assert_array_equal(lacking, told)


def line_height() -> int:
    return len(draw_sheet(Sheet("t", ["a", "b"], [], 4))) - len(draw_sheet(Sheet("t", ["a"], [], 4)))


def test_long_names_that_differ_at_either_end_look_different() -> None:
    pages = [sheet(heading=name) for name in ("a" + "x" * 500, "b" + "x" * 500, "x" * 500 + "a", "x" * 500 + "b")]
    assert len({page.tobytes() for page in pages}) == 4


def test_lines_under_the_title_go_on_and_end() -> None:
    heights = [len(sheet(line="word " * words)) - len(sheet()) for words in (1, 20, 30, 50, 10_000)]
    assert heights == [0, line_height(), line_height(), 2 * line_height(), 2 * line_height()]


def test_the_same_sheet_has_the_same_pixels_in_any_process() -> None:
    code = (
        "import hashlib; from tests.sheets.test_drawing import HOSTILE, sheet; from tests.examples import picture; "
        "from pipeline.sheets.drawing import Cell; "
        "print(hashlib.sha256(sheet([Cell(picture(1), tuple(HOSTILE))]).tobytes()).hexdigest())"
    )
    settings = {"PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Asia/Tokyo", "PYTHONUTF8": "0"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(REPOSITORY),
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    here = sheet([Cell(picture(1), tuple(HOSTILE))])
    assert ended.stdout.strip() == hashlib.sha256(here.tobytes()).hexdigest()
