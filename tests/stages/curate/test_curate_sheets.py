"""Sheets of issues and of copies: which images they show, in which order, with which words."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.images.pixels import Pixels
from pipeline.manifest import CURATED
from pipeline.sheets.drawing import Sheet
from pipeline.stages.curate import sheets
from pipeline.stages.curate.duplicates import REMOVED_COLUMNS
from pipeline.stages.curate.groups import NEAR_COLUMNS
from pipeline.stages.curate.issues import with_issues
from tests.examples import params, with_columns

LEVELS = params().curate.issues
NOTHING = {"luma_1": 5, "luma_5": 9, "luma_99": 200, "colour_99": 90, "information": 7.0, "blur": 0.4}


def look(shard: str, row: int) -> Pixels:
    return np.full((8, 8, 3), row, np.uint8)


def rows_of(count: int, **columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"id": [f"web/cat/{number:02}.png" for number in range(count)], "row": np.arange(count)})
    usual = {"source": "web", "role": "raw", "label": "cat", "sha256": frame["id"], "width": 40, "height": 30}
    return with_columns(frame.assign(**{**usual, **NOTHING, **columns}), CURATED)


def captions(sheet: Sheet, section: int) -> list[tuple[str, ...]]:
    return [tuple(cell.captions) for strip in sheet.sections[section].strips for cell in strip.cells]


def table(rows: Sequence[Sequence[str]], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns, dtype="str")


NO_NEAR, NONE_REMOVED = table([], NEAR_COLUMNS), table([], REMOVED_COLUMNS)


def test_the_worst_of_each_issue_are_shown_with_their_value(drawn: list[Sheet]) -> None:
    images = with_issues(rows_of(20, blur=np.linspace(0.7, 0.89, 20), luma_99=np.r_[np.full(19, 200), 60]), LEVELS)
    sheets.issues_sheet(images, LEVELS, look)
    (sheet,) = drawn
    assert [section.heading for section in sheet.sections] == [
        "blurry: 14; blur above 0.75",
        "dark: 1; brightest level below 82",
    ]
    assert captions(sheet, 0)[0] == ("web/cat/19.png", "cat, 40 x 30", "blur 0.89")
    assert [names[0][8:10] for names in captions(sheet, 0)] == [str(number) for number in range(19, 11, -1)]
    assert (sheet.sections[0].strips[0].cells[0].pixels == 19).all()
    assert sheet.lines[0].startswith("14 of 20 images have an issue.")
    assert sheet.lines[1] == "None: light, blank, low_information, odd_aspect_ratio, odd_size, grayscale."


def test_copies_stand_side_by_side(drawn: list[Sheet]) -> None:
    names = [f"web/cat/{number:02}.png" for number in range(9)]
    near = table(
        [
            ("g", names[0], names[0], "web", "raw", "cat", names[1], ""),
            ("g", names[0], names[1], "web", "raw", "cat", names[0], ""),
            ("h", names[2], names[2], "web", "raw", "cat", names[3], "cat / dog"),
            ("h", names[2], names[3], "web", "raw", "dog", names[2], "cat / dog"),
        ],
        NEAR_COLUMNS,
    )
    removed = table(
        [
            (names[5], "web", "cat", names[5], "duplicate", names[4]),
            (names[6], "web", "cat", names[6], "conflicting_labels", "cat / dog"),
            (names[7], "web", "dog", names[7], "conflicting_labels", "cat / dog"),
        ],
        REMOVED_COLUMNS,
    )
    images = rows_of(9, sha256=[*"abcdeeffg"], label=["cat"] * 3 + ["dog"] + ["cat"] * 3 + ["dog", ""])
    sheets.copies_sheet(images, near, removed, look)
    (sheet,) = drawn
    assert [section.heading for section in sheet.sections] == [
        "Groups of near-duplicates, always in one split: 2",
        "Pairs of exact duplicates: 1",
        "Pictures with two labels, removed: 2",
    ]
    # Those of two labels come first.
    assert [strip.caption for strip in sheet.sections[0].strips] == ["2 images, labels cat / dog", "2 images"]
    assert [words[0] for words in captions(sheet, 0)] == [names[2], names[3], names[0], names[1]]
    assert captions(sheet, 1) == [
        (names[4], "cat, 40 x 30", "stays"),
        (names[5], "cat, 40 x 30", "removed"),
    ]
    assert captions(sheet, 2) == [(names[6], "cat, 40 x 30"), (names[7], "dog, 40 x 30")]


def test_what_does_not_fit_is_counted(drawn: list[Sheet]) -> None:
    names = [f"web/cat/{number:02}.png" for number in range(60)]
    near = table(
        [("g", names[0], name, "web", "raw", "cat", names[0], "") for name in names[:20]]
        + [
            ("g", names[at], names[at + new], "web", "raw", "cat", names[at], "")
            for at in range(20, 60, 2)
            for new in (0, 1)
        ],
        NEAR_COLUMNS,
    )
    removed = table([(name, "web", "cat", name, "duplicate", names[0]) for name in names[1:]], REMOVED_COLUMNS)
    sheets.copies_sheet(rows_of(60), near, removed, look)
    near_section, pairs = drawn[0].sections
    assert near_section.heading.endswith(f"21, {sheets.MAX_FAMILIES} shown")
    assert near_section.strips[0].caption == "20 images, 8 shown"
    assert len(near_section.strips[0].cells) == sheets.COLUMNS
    assert pairs.heading == f"Pairs of exact duplicates: 59, {sheets.MAX_PAIRS} shown"
    assert len(pairs.strips[0].cells) == 2 * sheets.MAX_PAIRS


def test_sheets_of_nothing_say_so(drawn: list[Sheet]) -> None:
    images = with_issues(rows_of(3), LEVELS)
    sheets.issues_sheet(images, LEVELS, look)
    sheets.copies_sheet(images, NO_NEAR, NONE_REMOVED, look)
    assert [sheet.sections for sheet in drawn] == [[], []]
    assert drawn[1].lines == ["No near-duplicates, no duplicates, no pictures with two labels."]


def test_hostile_names_are_drawn_and_the_bytes_are_always_the_same() -> None:
    names = ["web/\n\x1b[31m/<script>.png", "web/" + "w" * 255, "web/\U0001f34e\u202e.png", "web/-rf *.png"]
    rows = rows_of(4, blur=0.9).assign(id=names, label=["a\nb", "", "c" * 300, "\u5e74"])
    images = with_issues(rows, LEVELS)
    first, again = (sheets.issues_sheet(images, LEVELS, look) for _ in range(2))
    assert first == again
    with Image.open(io.BytesIO(first)) as image:
        assert image.size[0] < 1500
