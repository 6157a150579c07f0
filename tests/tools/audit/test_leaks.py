"""Each kind of leak is found once and named; class gaps and mismatch are told from chance."""

from typing import Any

import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.tools.audit.leaks import audit_report, check_splits, table_problems
from pipeline.tools.audit.rendering import render, verdict

DEFAULTS = {"table": "t.csv", "label": "cat", "group": None, "role": None, "family": None}


def rows(*images: dict[str, Any]) -> pd.DataFrame:
    """Rows of one table; each image is a file of its own if nothing else is said."""
    filled = [
        {**DEFAULTS, "row": number, "path": f"{number}.png", "content": f"content {number}", **image}
        for number, image in enumerate(images, 1)
    ]
    frame = pd.DataFrame([{"key": image["path"], **image} for image in filled])
    return frame.astype(dict.fromkeys(("group", "role", "family", "content"), object))


def report(frame: pd.DataFrame, **changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"unchecked": frame[:0].assign(reason=""), "min_per_class": 1, "near": True, "plain": 0}
    return audit_report(frame, **{**options, **changes})


def leaks(*images: dict[str, Any]) -> list[tuple[str, list[str], list[int]]]:
    return [
        (leak["kind"], leak["splits"], [row["row"] for row in leak["rows"]]) for leak in report(rows(*images))["leaks"]
    ]


TRAIN, TEST = {"split": "train"}, {"split": "test"}


@pytest.mark.parametrize(
    ("images", "found"),
    [
        pytest.param([TRAIN, TEST], [], id="different images do not leak"),
        pytest.param(
            [{**TRAIN, "path": "a"}, {**TEST, "path": "a", "content": "content 1"}],
            [("path", ["test", "train"], [1, 2])],
            id="one path in two splits is no exact leak as well",
        ),
        pytest.param(
            [{**TRAIN, "content": "x"}, TRAIN, {**TEST, "content": "x"}],
            [("exact", ["test", "train"], [1, 3])],
            id="equal content in two splits",
        ),
        pytest.param(
            [{**TRAIN, "content": "x"}, {**TRAIN, "content": "x"}, TEST], [], id="equal content in one split is none"
        ),
        pytest.param(
            [{**TRAIN, "family": "1"}, {**TEST, "family": "1"}], [("near", ["test", "train"], [1, 2])], id="near"
        ),
        pytest.param(
            [{**TRAIN, "family": "1", "content": "x"}, {**TEST, "family": "1", "content": "x"}],
            [("exact", ["test", "train"], [1, 2])],
            id="an exact leak is no near leak as well",
        ),
        pytest.param(
            [{**TRAIN, "group": "g"}, {**TEST, "group": "g"}, {**TEST, "group": "h"}],
            [("group", ["test", "train"], [1, 2])],
            id="group",
        ),
        pytest.param(
            [{**TRAIN, "group": "g", "content": "x"}, {**TEST, "group": "g", "content": "x"}],
            [("exact", ["test", "train"], [1, 2])],
            id="an exact leak is no group leak as well",
        ),
        pytest.param(
            [{**TRAIN, "content": None}, {**TEST, "content": None}], [], id="unknown content is equal to nothing"
        ),
        pytest.param([TRAIN, TEST, {**TRAIN, "path": "1.png"}], [], id="a repeated row is no leak"),
        pytest.param(
            [{**TRAIN, "content": "x"}, {**TEST, "content": "x"}, {"split": "dev", "content": "x"}],
            [("exact", ["dev", "test", "train"], [1, 2, 3])],
            id="three splits are one leak",
        ),
        pytest.param(
            [{**TRAIN, "content": "y"}, {**TRAIN, "content": "x"}, {**TEST, "content": "x"}, {**TEST, "content": "y"}],
            [("exact", ["test", "train"], [1, 4]), ("exact", ["test", "train"], [2, 3])],
            id="leaks stand in the order of rows",
        ),
    ],
)
def test_leaks(images: list[dict[str, Any]], found: list[tuple[str, list[str], list[int]]]) -> None:
    assert leaks(*images) == found


def test_a_leak_counts_the_images_that_leak_in_each_split() -> None:
    found = report(rows({**TRAIN, "content": "x"}, {**TRAIN, "content": "x"}, TRAIN, {**TEST, "content": "x"}))
    assert {name: part["leaking"] for name, part in found["splits"].items()} == {"test": 1, "train": 2}
    assert found["passed"] is False


def test_an_image_that_could_not_be_checked_fails_the_audit() -> None:
    frame = rows(TRAIN, TEST)
    found = report(frame, unchecked=frame[1:].assign(reason="missing"))
    assert found["passed"] is False
    assert found["unchecked"] == [
        {"table": "t.csv", "row": 2, "path": "2.png", "label": "cat", "split": "test", "reason": "missing"}
    ]
    assert verdict(found).startswith("no leak found, but 1 of 2 images could not be checked")


def test_class_gaps_tell_missing_from_few_from_one_sided() -> None:
    counts = {("cat", "train"): 9, ("cat", "test"): 9, ("dog", "train"): 9, ("dog", "test"): 2, ("owl", "train"): 3}
    counts |= {("cat", "dev"): 9, ("yak", "train"): 9, ("yak", "dev"): 9, ("dog", "dev"): 9}
    images = [{"label": label, "split": split} for (label, split), count in counts.items() for _ in range(count)]
    assert report(rows(*images), min_per_class=5)["class_gaps"] == [
        {"kind": "few", "label": "dog", "split": "test", "images": 2},
        {"kind": "only", "label": "owl", "split": "train", "images": 3},
        {"kind": "missing", "label": "yak", "split": "test", "images": 0},
    ]


def labelled(**counts: dict[str, int]) -> pd.DataFrame:
    return rows(
        *[
            {"split": split, "label": label}
            for split, labels in counts.items()
            for label, count in labels.items()
            for _ in range(count)
        ]
    )


def test_mismatch_is_the_total_variation_distance_of_each_pair_of_splits() -> None:
    frame = labelled(
        train={"cat": 500, "dog": 500}, dev={"cat": 500, "dog": 500}, test={"cat": 900, "dog": 50, "owl": 50}
    )
    found = report(frame)["mismatch"]
    assert [(pair["splits"], pair["distance"], pair["relevant"]) for pair in found] == [
        (["dev", "test"], 0.45, True),
        (["test", "train"], 0.45, True),
        (["dev", "train"], 0.0, False),
    ]
    assert found[0]["widest"] == {"label": "dog", "shares": [0.5, 0.05]}


def test_a_distance_that_small_splits_have_by_chance_is_not_relevant() -> None:
    [pair] = report(labelled(train={"cat": 6, "dog": 4}, test={"cat": 4, "dog": 6}))["mismatch"]
    assert pair["distance"] == 0.2
    assert pair["by_chance"] > 0.5
    assert pair["relevant"] is False


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_images_without_a_label_may_leak_and_are_of_no_class(nothing: Any) -> None:
    images = [{**split, "label": label} for split in (TRAIN, TEST) for label in ("cat", "dog")]
    pool = [{"split": "pool", "label": nothing, "role": "production", "content": f"pool {n}"} for n in range(3)]
    leak = {**TEST, "label": nothing, "content": "pool 0"}
    found = report(rows(*images, *pool, leak))
    assert [(one["kind"], [row["label"] for row in one["rows"]]) for one in found["leaks"]] == [("exact", [None, None])]
    assert found["class_gaps"] == []
    assert [pair["splits"] for pair in found["mismatch"]] == [["test", "train"]]
    assert found["splits"]["pool"]["labels"] == {}
    assert {name: part["unlabelled"] for name, part in found["splits"].items()} == {"pool": 3, "test": 1, "train": 0}
    words = render(found)
    assert "pool: 5.png (no label), row 5 of t.csv" in words
    assert "3 production, 3 without a label" in words
    assert report(rows(*pool, {**TRAIN, "label": nothing}))["passed"] is True


@pytest.mark.parametrize(
    ("columns", "frame", "problems"),
    [
        (["path", "label", "split"], {"path": ["a"], "label": ["x"], "split": ["train"]}, []),
        (
            ["filename", "class", "split"],
            {"split": ["train"]},
            [
                "t.csv has no column path: did you mean 'filename'? Rename it",
                "t.csv has no column label: did you mean 'class'? Rename it",
            ],
        ),
        (
            ["path", "label", "split"],
            {"path": [None, "b"], "label": [None, "x"], "split": [None, None]},
            [
                "t.csv: path is empty in 1 row (1); every image needs one",
                "t.csv: split is empty in 2 rows (1, 2); every image needs one",
            ],
        ),
        (
            ["path", "label", "split", "sha256"],
            {"path": ["a"], "label": ["x"], "split": ["s"], "sha256": ["abc"]},
            ["t.csv: sha256 must be 64 hex digits, got 'abc' in 1 row (1); without this column the files are hashed"],
        ),
        (["a;b"], {}, ["is it separated by commas, semicolons or tabs?"] * 3),
        (["id", "path", "label", "shard", "row", "split"], {"path": [], "label": [], "split": []}, []),
        (["id", "path", "label", "shard"], {"path": ["a"], "label": ["x"]}, ["from the stage split or a later one"]),
    ],
)
def test_a_table_that_cannot_be_used(columns: list[str], frame: dict[str, list[Any]], problems: list[str]) -> None:
    table = pd.DataFrame(frame, dtype=object)
    found = table_problems("t.csv", columns, table.assign(row=range(1, len(table) + 1)))
    assert len(found) == len(problems)
    assert [part for part, problem in zip(problems, found, strict=True) if part not in problem] == []


def test_one_split_is_nothing_to_compare() -> None:
    with pytest.raises(
        DataError, match="all 2 rows are of the split train: an audit compares splits; also give the tables"
    ):
        check_splits(rows(TRAIN, TRAIN))
    with pytest.raises(DataError, match="there are no rows: an audit compares splits"):
        check_splits(rows(TRAIN)[:0])


def test_words_show_both_sides_of_a_leak_and_count_the_rest() -> None:
    images = [{**TRAIN, "content": "x", "label": "dog"} for _ in range(5)] + [{**TEST, "content": "x", "group": "g"}]
    pairs = [{**split, "content": f"pair {n}"} for n in range(12) for split in (TRAIN, TEST)]
    words = render(report(rows(*images, *pairs), plain=3))
    assert "Leak (exact): files with the same content in two splits: 13" in words
    assert "test: 6.png (cat), row 6 of t.csv\n" in words
    assert "train: 1.png (dog), row 1 of t.csv\n" in words
    assert "and 3 more\n" in words
    assert "and 3 more; --json FILE gets all" in words
    assert "3 pictures are too plain" in words


def test_words_of_gaps_and_mismatch() -> None:
    words = render(report(labelled(train={"cat": 300, "dog": 1, "owl": 9}, test={"cat": 20, "dog": 300, "yak": 1})))
    assert "owl is only in train (9 images)" in words
    assert "yak is only in test (1 images)" in words
    assert "test and train: total variation distance 0.9" in words
    assert words.endswith("no leaks: 631 images checked by path, content, near copies; the tables name no groups")


def test_words_keep_control_characters_from_the_terminal() -> None:
    words = render(report(rows({**TRAIN, "content": "x", "path": "a\n\x1b[2J"}, {**TEST, "content": "x"})))
    assert "a\\n\\x1b[2J (cat)" in words


def test_the_verdict_counts_leaks_by_kind() -> None:
    found = report(rows({**TRAIN, "content": "x"}, {**TEST, "content": "x", "group": "g"}, {**TRAIN, "group": "g"}))
    assert verdict(found).startswith("2 leaks (1 exact, 1 group) with 3 of 3 images: keep the images of each leak in")
