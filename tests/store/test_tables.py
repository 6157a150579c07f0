"""CSV tables of other tools, as their spreadsheet programs write them."""

import pytest

from pipeline.errors import DataError
from pipeline.store.tables import read_csv


@pytest.mark.parametrize(
    "text",
    [
        'path,label\na.png,"cat; dog"\n',
        "path;label\r\na.png;cat; dog\r\n".replace("cat; dog", '"cat; dog"'),
        "path\tlabel\na.png\tcat; dog\n",
        'sep=;\r\npath;label\r\na.png;"cat; dog"\r\n',
        '"sep=|"\npath|label\na.png|cat; dog\n',
    ],
)
def test_what_stands_between_cells_shows_in_the_first_line(text: str) -> None:
    assert read_csv(text.encode("utf-8-sig"), "t.csv") == {"path": ["a.png"], "label": ["cat; dog"]}


def test_commas_within_quoted_names_are_no_delimiter() -> None:
    assert read_csv(b'"file, as given";label\na;b\n', "t.csv") == {"file, as given": ["a"], "label": ["b"]}


@pytest.mark.parametrize("text", ["path\na.png\n", "path|label\na|b\n", '"a\nb"\nc\n'])
def test_other_first_lines_name_one_column(text: str) -> None:
    assert len(read_csv(text.encode(), "t.csv")) == 1


@pytest.mark.parametrize("text", ["", "\n\n", "sep=;\n"])
def test_a_table_without_a_line_is_empty(text: str) -> None:
    with pytest.raises(DataError, match=r"t\.csv is empty"):
        read_csv(text.encode(), "t.csv")
