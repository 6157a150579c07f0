"""Every file is an image, refused or ignored, and so is every row that a table has of files."""

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.manifest import PRODUCTION, RAW
from pipeline.sources.listing import LabelStatement, Listing, by_folders, by_statements, by_table, without_labels
from pipeline.sources.params import Columns, TableLabels, Unlisted
from pipeline.sources.scan import Scan

NOW = pd.Timestamp("2026-06-01T12:00:00Z")
FILES = ("a.png", "cat/1.png", "cat/2.png", "dog/deep/down/1.png")
IGNORED = ((".x", "hidden"), ("@eaDir/1.png", "system_file"), ("cat/.x/1.png", "hidden"))
FOUND = Scan(FILES, (("cat/out.png", "link_leaves_source"), ("up", "linked_folder")), IGNORED)
COLUMNS = Columns(path="file", label="class", group=None, captured_at=None)


def labels(listed: Listing) -> dict[str, str]:
    return dict(zip(listed.images["path"], listed.images["label"], strict=True))


def reasons(listed: Listing) -> dict[str, str]:
    return {path: reason for path, reason, _ in listed.refused}


def said(*rows: tuple[str, str], other: str = "") -> list[LabelStatement]:
    return [LabelStatement(path, label, number, (other,)) for number, (path, label) in enumerate(rows, 1)]


def table(rows: list[tuple[str, str]], **columns: list[str]) -> pd.DataFrame:
    paths, classes = zip(*rows, strict=True) if rows else ((), ())
    return pd.DataFrame({"file": paths, "class": classes, **columns}, dtype="str")


def by(rows: pd.DataFrame, columns: Columns = COLUMNS, role: str = PRODUCTION, separator: str | None = None) -> Listing:
    labels_of = TableLabels(name="table", file="t.csv", columns=columns, unlisted="ignore", separator=separator)
    return by_table(FOUND, rows, labels_of, role, NOW, "t.csv")


def test_the_first_folder_is_the_label_and_an_image_in_none_has_none_if_it_is_of_production() -> None:
    classes = {"cat/1.png": "cat", "cat/2.png": "cat", "dog/deep/down/1.png": "dog"}
    refused = dict(FOUND.refused)
    raw, production = by_folders(FOUND, RAW), by_folders(FOUND, PRODUCTION)
    assert (labels(raw), reasons(raw)) == (classes, refused | {"a.png": "no_class_folder"})
    assert (labels(production), reasons(production)) == (classes | {"a.png": ""}, refused)
    assert raw.ignored == production.ignored == IGNORED


def test_without_labels_no_folder_says_anything() -> None:
    assert labels(without_labels(FOUND)) == dict.fromkeys(FILES, "")


@pytest.mark.parametrize(
    ("path", "reason", "detail"),
    [
        ("/cat/1.png", "path_leaves_source", "paths are relative to the source's path, and stay inside it (row 1)"),
        ("../a.png", "path_leaves_source", ""),
        ("cat/../../a.png", "path_leaves_source", ""),
        ("..", "path_leaves_source", ""),
        ("cat/out.png", "link_leaves_source", " (row 1)"),
        ("up/1.png", "linked_folder", ""),
        ("cat/3.png", "missing_file", "there is no such file in the source (row 1)"),
        ("cat\\1.png", "missing_file", "there is no such file in the source, did you mean cat/1.png? (row 1)"),
        ("cat", "missing_file", ""),
        ("CAT/1.png", "missing_file", "there is no such file in the source, did you mean cat/1.png? (row 1)"),
        (" cat/1.png ", "missing_file", "there is no such file in the source, did you mean cat/1.png? (row 1)"),
    ],
)
def test_a_path_that_is_no_file_of_the_source_is_refused(path: str, reason: str, detail: str) -> None:
    listed = by_statements(FOUND, said((path, "cat")), RAW, "ignore")
    assert labels(listed) == {}
    [(_, found, words)] = [item for item in listed.refused if item[0] == path]
    assert found == reason
    assert words.endswith(detail)


def test_a_path_that_looks_the_same_and_is_not_says_why() -> None:
    """macOS writes accents as letters of their own."""
    found = Scan(("caf\u00e9.png",), ())
    [(_, reason, words)] = by_statements(found, said(("cafe\u0301.png", "cat")), PRODUCTION, "ignore").refused
    assert reason == "missing_file"
    assert words == (
        "there is no such file in the source, did you mean caf\u00e9.png? It has the same letters in other bytes "
        "(Unicode NFC or NFD) (row 1)"
    )


@pytest.mark.parametrize("path", ["./cat/1.png", "cat//1.png", "dog/../cat/1.png"])
def test_a_path_that_stays_inside_means_its_file(path: str) -> None:
    assert labels(by_statements(FOUND, said((path, "cat")), RAW, "ignore")) == {"cat/1.png": "cat"}


ONE, OTHER = ("cat/1.png", "cat"), ("cat/1.png", "dog")


@pytest.mark.parametrize(
    ("rows", "label", "refused"),
    [
        ([ONE, ONE], "cat", [("listed_twice", "row 2 says the same as row 1")]),
        ([("./cat/1.png", "cat"), ONE], "cat", [("listed_twice", "row 2 says the same as row 1")]),
        ([ONE, OTHER, ONE], None, [("conflicting_labels", "cat / dog in rows 1, 2, 3")]),
        ([("cat/1.png", ""), ONE], "cat", [("listed_twice", "row 1 says the same as row 2")]),
    ],
)
def test_a_file_listed_twice(rows: list[tuple[str, str]], label: str | None, refused: list[tuple[str, str]]) -> None:
    listed = by_statements(FOUND, said(*rows), PRODUCTION, "ignore")
    assert labels(listed).get("cat/1.png") == label
    assert [item[1:] for item in listed.refused if item[0] == "cat/1.png"] == refused


def test_rows_of_one_file_that_differ_elsewhere_are_refused() -> None:
    listed = by_statements(FOUND, [*said(ONE, other="x"), *said(ONE, other="y")], RAW, "ignore")
    assert labels(listed) == {}
    assert reasons(listed)["cat/1.png"] == "conflicting_rows"


def test_a_raw_image_needs_a_label_and_one_of_production_does_not() -> None:
    rows = said(("cat/1.png", ""), ("cat/2.png", "cat"))
    raw, production = (by_statements(FOUND, rows, role, "ignore") for role in (RAW, PRODUCTION))
    assert (labels(raw), reasons(raw)["cat/1.png"]) == ({"cat/2.png": "cat"}, "no_label")
    assert labels(production) == {"cat/1.png": "", "cat/2.png": "cat"}


def test_files_that_no_row_names_are_left_alone_or_have_no_label() -> None:
    ignored, taken = (by_statements(FOUND, said(ONE), PRODUCTION, unlisted) for unlisted in ("ignore", "unlabelled"))
    assert (labels(ignored), ignored.ignored) == (
        {"cat/1.png": "cat"},
        (*IGNORED, *((path, "not_listed") for path in FILES if path != "cat/1.png")),
    )
    assert (labels(taken), taken.ignored) == (dict.fromkeys(FILES, "") | {"cat/1.png": "cat"}, IGNORED)


PATHS = st.sampled_from([*FILES, "./a.png", "no.png", "../a.png", "cat/out.png", "up/x"])
STATEMENTS = st.lists(st.tuples(PATHS, st.sampled_from(["", "cat", "dog"]), st.sampled_from("xy")), max_size=8)


@settings(deadline=None, max_examples=100)
@given(STATEMENTS, st.sampled_from([RAW, PRODUCTION]), st.sampled_from(["ignore", "unlabelled"]))
def test_files_are_images_refused_or_ignored_and_rows_are_images_or_refused(
    rows: list[tuple[str, str, str]], role: str, unlisted: Unlisted
) -> None:
    spoken = [LabelStatement(path, label, number, (other,)) for number, (path, label, other) in enumerate(rows, 1)]
    listed = by_statements(FOUND, spoken, role, unlisted)
    images = set(labels(listed))
    assert len(images) == len(listed.images)
    refused = {path for path, _, _ in listed.refused}
    assert images <= set(FILES)
    seen = images | (refused & {*FILES, *dict(FOUND.refused)})
    assert {*dict(FOUND.refused)} <= refused
    ignored = {path for path, _ in listed.ignored}
    assert len(listed.ignored) == len(ignored)
    assert ignored.isdisjoint(seen)
    assert seen | ignored == {*FILES, *dict(FOUND.refused), *dict(IGNORED)}
    assert images.isdisjoint(path for path, reason, _ in listed.refused if reason != "listed_twice")
    assert by_statements(FOUND, spoken, role, unlisted).refused == listed.refused


def test_columns_travel_with_their_images_under_any_name() -> None:
    columns = Columns(path="file", label="class", group="patient", captured_at="taken")
    rows = table(
        [("dog/deep/down/1.png", "dog"), ("a.png", "")],
        patient=["p1", "p2"], taken=["2026-01-01T00:00Z", ""], group=["g", ""],
    )  # fmt: skip
    images = by(rows, columns).images
    assert images.columns.tolist() == ["path", "label", "user_group", "captured_at", "meta_group"]
    assert images["path"].tolist() == ["a.png", "dog/deep/down/1.png"]
    assert images["user_group"].tolist() == ["p2", "p1"]
    assert images["captured_at"].tolist() == [pd.NaT, pd.Timestamp("2026-01-01T00:00Z")]
    assert images["meta_group"].tolist() == ["", "g"]


def test_a_table_without_labels_has_images_without_labels() -> None:
    listed = by(table([ONE]).drop(columns="class"), Columns(path="file", label=None, group=None, captured_at=None))
    assert labels(listed) == {"cat/1.png": ""}


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no path": ({"rows": [("", "cat"), ONE, (" ", "cat")]}, "file is empty in 2 rows: 1, 3"),
    "capitals": (
        {"rows": [("a.png", "Cat"), ONE]},
        "labels that may mean the same class, spelt in several ways (bytes in brackets): Cat [43 61 74] and cat "
        "[63 61 74].",
    ),
    "control characters": (
        {"rows": [("a.png", "c\0t"), ONE]},
        "1 of the labels has control characters: c\\x00t [63 00 74]. Rename",
    ),
    "control characters in groups": (
        {"rows": [ONE], "patient": ["\x1b[2Jp1"]},
        "1 of the groups has control characters: \\x1b[2Jp1 [1b 5b 32 4a 70 31]. Rename",
    ),
    "nothing that is seen": ({"rows": [("a.png", "\u200b"), ONE]}, "1 of the labels has no visible character: \\u200b"),
    "words for nothing": (
        {"rows": [("a.png", "nan"), ONE, ("cat/2.png", "None")]},
        "class has a text that programs write for an empty cell (None, nan) in 2 rows: 1, 3. Leave",
    ),
    "words for nothing in groups": (
        {"rows": [ONE], "patient": ["<NA>"]},
        "patient has a text that programs write for an empty cell (<NA>) in 1 rows: 1. Leave",
    ),
    "short numbers": (
        {"rows": [ONE], "patient": ["2.02611E+14"], "taken": [""]},
        "patient has numbers that a spreadsheet or a float cut short, such as 2.02611E+14, in 1 rows: 1; format",
    ),
    "dates": (
        {"rows": [ONE], "patient": [""], "taken": ["31.05.2026"]},
        "1 values of taken are not ISO 8601 times: cat/1.png (31.05.2026); write",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_a_spreadsheet_did_is_named(kind: str) -> None:
    content, message = BROKEN[kind]
    rows = content["rows"]
    columns = {name: content.get(name, [""] * len(rows)) for name in ("patient", "taken")}
    with pytest.raises(DataError, match=r"^t\.csv cannot be used:\n  ") as caught:
        by(table(rows, **columns), Columns(path="file", label="class", group="patient", captured_at="taken"))
    assert f"\n  {message}" in str(caught.value)


def test_all_problems_of_a_table_come_at_once() -> None:
    columns = Columns(path="file", label="class", group=None, captured_at="taken")
    with pytest.raises(DataError) as caught:
        by(table([("", "Cat"), ONE], taken=["soon", "2099-01-01"]), columns)
    assert len(str(caught.value).split("\n  ")) == 5
    with pytest.raises(
        DataError, match=r"no column 'file', is it 'fil'\?(?s:.*)\n  there is no column 'class'\. It has"
    ):
        by(pd.DataFrame({"fil": ["a"], "x": ["b"]}, dtype="str"))


def test_labels_and_groups_that_look_the_same_are_one_with_a_note() -> None:
    columns = Columns(path="file", label="class", group="patient", captured_at=None)
    rows = [("cat/1.png", "caf\u00e9"), ("cat/2.png", " cafe\u0301\u200b"), ("a.png", " ")]
    listed = by(table(rows, patient=["12", "12.0", "p\u00a01"]), columns)
    assert labels(listed) == {"cat/1.png": "caf\u00e9", "cat/2.png": "caf\u00e9", "a.png": ""}
    assert listed.images.set_index("path")["user_group"].to_dict() == {
        "cat/1.png": "12",
        "cat/2.png": "12.0",
        "a.png": "p 1",
    }
    assert [note.partition(" are ")[0].partition(" were ")[0] for note in listed.notes] == [
        "labels",
        "groups",
        "groups that",
    ]
    assert "12 [31 32] and 12.0 [31 32 2e 30]" in listed.notes[2]


def test_two_rows_that_write_one_label_in_two_ways_agree() -> None:
    listed = by(table([("cat/1.png", "caf\u00e9"), ("cat/1.png", "cafe\u0301 ")]))
    assert (labels(listed), reasons(listed)) == (
        {"cat/1.png": "caf\u00e9"},
        dict(FOUND.refused) | {"cat/1.png": "listed_twice"},
    )


@pytest.mark.parametrize("cell", ["cat|dog", "dog;cat", "cat, dog", "cat|dog|cat"])
def test_a_cell_with_several_labels_is_refused_where_they_are_labels_of_others(cell: str) -> None:
    found = reasons(by(table([("a.png", cell), ("cat/1.png", "cat"), ("dog/deep/down/1.png", "dog")])))
    assert found == dict(FOUND.refused) | {"a.png": "several_choices"}


def test_a_cell_that_may_have_several_labels_is_told() -> None:
    listed = by(table([("a.png", "cat|dog"), ("cat/1.png", "red, white"), ("cat/2.png", "cat")]))
    assert labels(listed) == {"a.png": "cat|dog", "cat/1.png": "red, white", "cat/2.png": "cat"}
    assert listed.notes == ("cells that may hold several labels count as one class each: cat|dog",)


def test_cells_with_a_separator_are_sets_in_order() -> None:
    rows = table([("cat/1.png", "dog; cat"), ("cat/2.png", "cat"), ("a.png", "")])
    assert labels(by(rows, separator=";")) == {"cat/1.png": "cat|dog", "cat/2.png": "cat", "a.png": ""}
    assert by(rows, separator=";").notes == ()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("cat;", "class has ';' with no label on one side in 1 rows: 1"),
        ("cat|x;dog", r"class has \| inside of a label in 1 rows: 1"),
    ],
)
def test_cells_that_are_no_sets_are_errors(cell: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        by(table([("cat/1.png", cell)]), separator=";")
