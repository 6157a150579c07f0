"""A source without images, or with too few: what is wrong, the rule and the next step, for each case."""

from typing import Any

import pytest

from pipeline.sources.params import SourceParams
from pipeline.sources.source_errors import first_few, no_images, too_many_refused

TABLE: dict[str, Any] = {
    "name": "table",
    "file": "t.csv",
    "columns": {"path": "path", "label": "label", "group": None, "captured_at": None},
    "unlisted": "ignore",
}
FOLDERS = "Rule: put the images in one folder per class, photos/<class>/<image>. Next: "
FIX = "fix or replace these files, or correct their labels:"
PIPE = "not_a_regular_file: it is a pipe, a socket, a device, or a sparse file in an archive"
NAMED = "Rule: photos/t.csv names the images, by paths relative to photos. Next: "


@pytest.mark.parametrize(
    ("source", "refused", "ignored", "message"),
    [
        pytest.param(
            {},
            [],
            0,
            f"photos has no files. {FOLDERS}put images there, or correct its path under `sources` in params.yaml",
            id="nothing",
        ),
        pytest.param(
            {"labels": {"name": "none"}, "role": "production"},
            [],
            0,
            "photos has no files. Rule: every file in it counts as an image. Next: put images there, or correct "
            "its path under `sources` in params.yaml",
            id="nothing, without labels",
        ),
        pytest.param(
            {},
            [],
            3,
            f"photos has no images, 3 ignored files. {FOLDERS}rename the files that you want; a file is ignored if "
            "it is hidden or a system file",
            id="hidden files",
        ),
        pytest.param(
            {"exclude": ["*.png"], "inside": "set"},
            [],
            3,
            f"photos (inside: set) has no images, 3 ignored files. {FOLDERS}rename the files that you want; a file "
            "is ignored if it is hidden or a system file or left out by `inside` and `exclude`",
            id="left out by params",
        ),
        pytest.param(
            {},
            [("a.png", "no_class_folder", ""), ("b.png", "no_class_folder", "")],
            1,
            f"photos has no class folders, and 2 files outside of class folders. {FOLDERS}move each file into a "
            "folder named after its class",
            id="loose files",
        ),
        pytest.param(
            {},
            [("x/a.png", "dangling_link", ""), *[(f"x/{n}.png", "not_a_regular_file", "") for n in range(5)]],
            1,
            f"photos has no readable image: 1 dangling_link, 5 not_a_regular_file, 1 ignored. {FOLDERS}"
            f"{FIX}\n  x/a.png: dangling_link: it is a link to nothing, or in a circle of links\n  x/0.png: {PIPE}\n"
            f"  x/1.png: {PIPE}\n  x/2.png: {PIPE}\n  x/3.png: {PIPE}\n  and 1 more",
            id="refused unread",
        ),
        pytest.param(
            {"labels": TABLE},
            [],
            5,
            f"photos has no images, 5 ignored files. {NAMED}add a row to photos/t.csv for each image, or set "
            "`unlisted` to include files that no row names",
            id="empty table",
        ),
        pytest.param(
            {"labels": TABLE},
            [("../a.png", "path_leaves_source", "paths are relative (row 1)")],
            5,
            f"photos has no readable image: 1 path_leaves_source, 5 ignored. {NAMED}{FIX}\n"
            "  ../a.png: path_leaves_source: paths are relative (row 1)",
            id="table of what is not there",
        ),
    ],
)
def test_a_source_without_images(
    source: dict[str, Any], refused: list[tuple[str, str, str]], ignored: int, message: str
) -> None:
    params = SourceParams.model_validate({"role": "raw", "path": "photos", **source})
    assert no_images("photos", params, "photos/t.csv", refused, ignored) == message


def test_one_file_of_each_reason_is_named_before_another_of_any() -> None:
    reasons = ["empty", "empty", "empty", "strip", "empty", "timeout", "strip", "empty"]
    refused = [(f"{number}.png", reason, "") for number, reason in enumerate(reasons)]
    lines = first_few(refused).split("\n")[1:]
    assert [line.strip().split(": ")[0] for line in lines] == [
        "0.png",
        "3.png",
        "5.png",
        "1.png",
        "6.png",
        "and 3 more",
    ]


def test_a_limit_is_the_last_share_that_passes_and_all_is_too_many_whatever_it_is() -> None:
    refused = [("a.png", "empty", "the file has no content")]
    assert too_many_refused("photos", 4, refused, 0.25) is None
    assert too_many_refused("photos", 4, refused, 0.24) == (
        "1 of 4 files in photos were rejected (1 empty), the limit ingest.max_rejected is 24%. For example:\n"
        "  a.png: empty: the file has no content\nFix or remove these files, or raise the limit: rejected.csv then "
        "lists all of them"
    )
    assert too_many_refused("photos", 1, refused, 1.0) == (
        "1 of 1 files in photos were rejected (1 empty): no image is left. For example:\n"
        "  a.png: empty: the file has no content\nFix or replace these files"
    )
