"""What a metadata.csv says reaches its images; a broken one is refused with every rule and row named."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.sources.metadata import attach_metadata, check_groups

NOW = pd.Timestamp("2026-06-01T12:00:00Z")
PATHS = ["cat/1.png", "cat/2.png", "dog/1.png"]
NAME = "images/metadata.csv"


def images(paths: list[str] = PATHS) -> pd.DataFrame:
    """Rows as ingest has them: numbered by file, those of refused files already gone."""
    return pd.DataFrame(
        {"path": paths, "label": [path.split("/")[0] for path in paths]}, index=range(7, 7 + len(paths))
    )


def table(**columns: list[str]) -> pd.DataFrame:
    """A file of text, with the paths of all images unless others are given."""
    return pd.DataFrame({"file_name": PATHS, **columns}, dtype="str")


def attached(given_table: pd.DataFrame | None, paths: list[str] = PATHS, known: list[str] = PATHS) -> pd.DataFrame:
    return attach_metadata(images(paths), given_table, {*known, *paths}, NOW, NAME)


def refused(given_table: pd.DataFrame) -> list[str]:
    """The rules that the message names."""
    with pytest.raises(DataError, match=rf"^{NAME} cannot be used:\n  ") as caught:
        attached(given_table)
    return str(caught.value).split("\n  ")[1:]


def times_of(*values: str) -> list[str | None]:
    captured = attached(table(captured_at=[*values, "", ""][:3]))["captured_at"]
    return [None if time is pd.NaT else time.isoformat() for time in captured][: len(values)]


def test_without_a_file_there_are_no_groups_and_no_times() -> None:
    found = attached(None)
    assert found["user_group"].tolist() == ["", "", ""]
    assert found["captured_at"].isna().all()
    assert found.columns.tolist() == ["path", "label", "user_group", "captured_at"]


def test_every_column_reaches_its_image_whatever_the_order_of_the_rows() -> None:
    rows = table(
        group=["a", "a", "b"],
        captured_at=["2026-05-31T14:00:00+02:00", "2026-05-31T14:00:00Z", ""],
        camera=["old", "", "new"],
        site=["x", "y", "z"],
    )
    found = attached(rows.iloc[::-1].reset_index(drop=True))
    assert found["path"].tolist() == PATHS
    assert found.index.tolist() == [7, 8, 9]
    assert found["user_group"].tolist() == ["a", "a", "b"]
    assert found["captured_at"].tolist() == [
        pd.Timestamp("2026-05-31T12:00Z"),
        pd.Timestamp("2026-05-31T14:00Z"),
        pd.NaT,
    ]
    assert found["meta_camera"].tolist() == ["old", "", "new"]
    assert found["meta_site"].tolist() == ["x", "y", "z"]


def test_image_without_a_row_has_no_values() -> None:
    rows = table(captured_at=["2026-01-01", "2026-01-02", "2026-01-03"], camera=["a", "b", "c"])
    found = attached(rows, ["ant/0.png", *PATHS])
    assert found["meta_camera"].tolist() == ["", "a", "b", "c"]
    assert found["captured_at"].isna().tolist() == [True, False, False, False]
    assert found["user_group"].tolist() == [""] * 4


def test_row_of_a_refused_file_is_no_error() -> None:
    rows = table(group=["a", "b", ""])
    assert attached(rows, PATHS[:2], known=PATHS)["user_group"].tolist() == ["a", "b"]


@pytest.mark.parametrize("column", ["group", "captured_at", "camera"])
def test_column_that_is_empty_throughout_says_nothing(column: str) -> None:
    found = attached(table(**{column: ["", "", ""]}))
    assert found["user_group"].tolist() == ["", "", ""]
    assert found["captured_at"].isna().all()


@pytest.mark.parametrize("columns", [["file_name"], ["file_name", "group", "captured_at", "camera"]])
def test_file_without_rows_says_nothing(columns: list[str]) -> None:
    found = attached(pd.DataFrame(columns=columns, dtype="str"))
    assert found["user_group"].tolist() == ["", "", ""]
    assert found["captured_at"].isna().all()


@pytest.mark.parametrize(
    ("text", "time"),
    [
        pytest.param("2026-05-31T14:00:00", "2026-05-31T14:00:00+00:00", id="naive times count as UTC"),
        pytest.param("2026-05-31", "2026-05-31T00:00:00+00:00", id="a day begins at midnight"),
        pytest.param("2026-05-31 14:00", "2026-05-31T14:00:00+00:00", id="a space for the T"),
        pytest.param("2026-05-31T14:00:00Z", "2026-05-31T14:00:00+00:00", id="Z"),
        pytest.param("2026-05-31T14:00:00+02:00", "2026-05-31T12:00:00+00:00", id="hours east"),
        pytest.param("2026-05-31T14:00:00-0530", "2026-05-31T19:30:00+00:00", id="hours west, without a colon"),
        pytest.param("2026-05-31T14:00:00.123456789Z", "2026-05-31T14:00:00.123456+00:00", id="microseconds are kept"),
        pytest.param("1899-12-31T23:59:59Z", "1899-12-31T23:59:59+00:00", id="long ago"),
    ],
)
def test_iso_8601_times_are_read(text: str, time: str) -> None:
    assert times_of(text) == [time]


@given(
    st.lists(
        st.tuples(
            st.datetimes(datetime(1900, 1, 1), datetime(2026, 5, 1)),
            st.integers(-14 * 60, 14 * 60),
        ),
        min_size=3,
        max_size=3,
    )
)
@settings(deadline=None, max_examples=50)
def test_moment_survives_any_zone(moments: list[tuple[datetime, int]]) -> None:
    zoned = [moment.replace(tzinfo=timezone(timedelta(minutes=east))) for moment, east in moments]
    found = times_of(*(moment.isoformat() for moment in zoned))
    assert found == [moment.astimezone(UTC).isoformat() for moment in zoned]


def test_zone_of_hours_alone_is_a_zone() -> None:
    assert times_of("2026-05-31T14:00:00+02", "2026-05-31T14:00:00Z") == [
        "2026-05-31T12:00:00+00:00",
        "2026-05-31T14:00:00+00:00",
    ]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "yesterday",
            "31.05.2026",
            "2026-13-01",
            "now",
            "today",
            "2026-02-30T10:00",
            "14:00",
            " ",
            " 2026-01-01",
            "NaT",
        ),
        *("46023", "46023.5", "1767225600", "1767225600000"),  # days of a spreadsheet, seconds, milliseconds
        *("2026:01:01 10:00:00", "0000-00-00", "2026-01-01T24:00", "2026-01-01T23:59:60", "2026-01-01T10:00 CET"),
        *("\u0662\u0660\u0662\u0666-01-01", "2026-W01-1", "2026-01-01T10:00+25:00"),
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    assert refused(table(captured_at=["2026-01-01", text, ""])) == [
        f"1 values of captured_at are not ISO 8601 times: cat/2.png ({text}); write them as 2026-05-31T14:00:00+02:00"
    ]


def test_times_of_the_future_are_refused_and_now_is_not() -> None:
    assert times_of("2026-06-01T12:00:00Z", "2026-06-01T14:00:00+02:00")[0] == "2026-06-01T12:00:00+00:00"
    assert refused(table(captured_at=["2026-06-01T12:00:01Z", "2026-06-01T13:00:00+00:00", "2026-05-01T00:00Z"])) == [
        "2 values of captured_at are in the future: cat/1.png (2026-06-01T12:00:01Z), "
        "cat/2.png (2026-06-01T13:00:00+00:00); correct them"
    ]


def test_mixed_zones_are_refused_with_the_rows_that_have_none() -> None:
    assert refused(table(captured_at=["2026-05-31T14:00:00Z", "2026-05-31T14:00:00", "2026-05-30"])) == [
        "2 values of captured_at have no time zone although others have one: cat/2.png (2026-05-31T14:00:00), "
        "dog/1.png (2026-05-30); add a time zone to all of them or to none"
    ]


def test_image_without_a_group_is_named_if_others_have_one() -> None:
    rows = table(group=["a", "", "b"])
    message = (
        f"{NAME} cannot be used:\n  2 images have no group although others have one: ant/0.png, cat/2.png. "
        "Give each image a group; an image on its own gets a name of its own"
    )
    found = attached(rows, ["ant/0.png", *PATHS])
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        check_groups(found, NAME)
    check_groups(found[found["user_group"] != ""], NAME)
    check_groups(found.assign(user_group=""), NAME)


def test_groups_that_were_cut_short_or_are_no_names_are_refused() -> None:
    """They would be split apart, or joined."""
    control, nothing, short = refused(table(group=["a\x07", "nan", "2.02611E+14"]))
    assert control.startswith("1 of the groups has control characters: a\\x07 [61 07].")
    assert nothing.startswith("group has a text that programs write for an empty cell (nan) in 1 rows: 2.")
    assert short.startswith(
        "group has numbers that a spreadsheet or a float cut short, such as 2.02611E+14, in 1 rows: 3"
    )


def test_groups_that_look_the_same_are_one() -> None:
    found = attached(table(group=["K\u00e4se", "Ka\u0308se\u00a0", "\u200bK\u00e4se"]))
    assert found["user_group"].tolist() == ["K\u00e4se"] * 3


def test_a_column_that_the_layout_fills_is_refused() -> None:
    given = images().assign(meta_given_split="train")
    with pytest.raises(DataError, match="has the column given_split, which the source's layout fills: rename it"):
        attach_metadata(given, table(given_split=["a", "b", "c"]), PATHS, NOW, NAME)


def test_unknown_and_repeated_files_are_named_once_each() -> None:
    rows = pd.DataFrame({"file_name": ["cat/1.png"] * 3 + ["cat/2.png"] * 2 + ["cat/9.png", "cat/9.png", "x.png"]})
    assert refused(rows) == [
        "3 files are listed more than once: cat/1.png, cat/2.png, cat/9.png",
        "2 files are not in the source: cat/9.png, x.png. Correct or remove these rows",
    ]


def test_only_the_first_five_rows_are_shown_with_how_many_more() -> None:
    rows = pd.DataFrame({"file_name": [f"no/{number}.png" for number in range(8)], "captured_at": ["?"] * 8})
    unknown, times = refused(rows)
    assert unknown.endswith("no/3.png, no/4.png and 3 more. Correct or remove these rows")
    assert times.startswith("8 values of captured_at are not ISO 8601 times: no/0.png (?), no/1.png (?), ")
    assert times.endswith("no/4.png (?) and 3 more; write them as 2026-05-31T14:00:00+02:00")


def test_every_broken_rule_is_reported_at_once() -> None:
    names = ["cat/1.png", "cat/1.png", "cat/2.png", "dog/1.png", "emu/1.png"]
    times = ["2026-05-31T14:00:00Z", "2026-05-31", "2027-01-01T00:00Z", "soon", ""]
    rules = refused(pd.DataFrame({"file_name": names, "captured_at": times, "group": ["a", "a", "b", "", "c"]}))
    assert [re.sub(r":.*", "", rule) for rule in rules] == [
        "1 files are listed more than once",
        "1 files are not in the source",
        "1 values of captured_at are not ISO 8601 times",
        "1 values of captured_at have no time zone although others have one",
        "1 values of captured_at are in the future",
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        pytest.param(["filename", "group"], ", is it 'filename'? It has filename, group", id="nearly right"),
        pytest.param(["File_Name"], ", is it 'File_Name'? It has File_Name", id="capitals"),
        pytest.param(["id", "group"], ". It has id, group", id="nothing like it"),
    ],
)
def test_column_that_is_not_there_is_named_with_the_nearest(columns: list[str], message: str) -> None:
    text = f"{NAME} cannot be used:\n  there is no column 'file_name'{message}"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        attached(pd.DataFrame(columns=columns, dtype="str"))


def test_a_path_without_its_ending_gets_the_file_that_it_means() -> None:
    rows = pd.DataFrame({"file_name": ["dog/1", "cat/1.png"]}, dtype="str")
    assert refused(rows) == [
        "1 files are not in the source: dog/1, did you mean dog/1.png? A path needs its ending. "
        "Correct or remove these rows"
    ]
