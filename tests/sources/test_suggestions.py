"""A path that names no file finds the one that it may mean, or none."""

import pytest

from pipeline.sources.suggestions import Nearest

FILES = ("a.png", "cat/000c34.jpg", "cat/1.png", "dog/1.png", "up/My file.png", "x/é.png")


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("000c34", ", did you mean cat/000c34.jpg? A path needs its folder and its ending"),
        ("000C34", ", did you mean cat/000c34.jpg? A path needs its folder and its ending"),
        ("cat/000c34", ", did you mean cat/000c34.jpg? A path needs its ending"),
        ("000c34.jpg", ", did you mean cat/000c34.jpg? A path needs its folder"),
        ("images/cat/000c34.png", ", did you mean cat/000c34.jpg? A path needs its folder and its ending"),
        ("cat/1", ", did you mean cat/1.png? A path needs its ending"),
        ("1.png", ""),
        ("1", ""),
        ("b.png", ""),
        ("", ""),
        (" CAT\\1.PNG", ", did you mean cat/1.png?"),
        ("x/e\u0301.png", ", did you mean x/é.png? It has the same letters in other bytes (Unicode NFC or NFD)"),
        (
            "0a1b2c3d-000c34.jpg",
            ", did you mean cat/000c34.jpg? Label Studio puts eight digits before the names of uploaded files: "
            "`strip_hash: true` takes them off",
        ),
    ],
)
def test_what_a_path_may_mean(path: str, hint: str) -> None:
    assert Nearest(FILES).hint(path) == hint
