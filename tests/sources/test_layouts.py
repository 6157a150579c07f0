"""Folders of a given split are never taken for classes by accident, and classes never for a split."""

import pytest

from pipeline.errors import DataError
from pipeline.manifest import PRODUCTION, RAW
from pipeline.sources.layouts import GIVEN_SPLIT
from pipeline.sources.listing import Listing, by_folders
from pipeline.sources.params import Layout
from pipeline.sources.scan import Scan


def listed(*files: str, role: str = RAW, layout: Layout | None = None) -> Listing:
    return by_folders(Scan(tuple(sorted(files)), (), ()), role, layout, "/data/set")


SPLITS = {
    "train and val": (["train/cat/1", "train/dog/1", "val/cat/1"], "inside: train`"),
    "capitals and other words": (["Training/cat/1", "Validation Set/cat/1"], "inside: Training`"),
    "one part alone": (["train/cat/1", "train/dog/1"], "inside: train`"),
    "no classes in them": (["train/1.png", "test/2.png"], "inside: train`"),
    "other folders beside": (["train/cat/1", "valid/cat/1", "annotations/1.xml"], "inside: train`"),
    "no train": (["test/cat/1", "val/cat/1"], "inside: test`"),
    "deeper": (["set/v2/train/cat/1", "set/v2/test/cat/1"], "`inside: set/v2` and `layout: split/class`"),
}


@pytest.mark.parametrize("kind", SPLITS)
@pytest.mark.parametrize("role", [RAW, PRODUCTION])
def test_parts_of_a_split_are_no_classes(kind: str, role: str) -> None:
    files, step = SPLITS[kind]
    with pytest.raises(DataError, match=r"look like the parts of a split .* not like classes") as caught:
        listed(*files, role=role)
    assert step in str(caught.value)
    assert "layout: split/class" in str(caught.value)
    # Who means it may say so.
    assert set(listed(*files, role=role, layout="class").images["label"]) == {one.split("/")[0] for one in files}


@pytest.mark.parametrize(
    "files",
    [
        ["train/1", "bus/1", "car/1"],
        ["train/steam/1", "bus/red/1"],
        ["train/old/1", "test/1", "bus/old/1"],
        ["cat/train/1", "dog/train/1", "cat/val/1"],
        ["cat/1", "dog/1"],
        ["cat/1"],
        ["trains/1", "vals/1"],
    ],
)
def test_classes_are_no_parts_of_a_split(files: list[str]) -> None:
    assert set(listed(*files).images["label"]) == {one.split("/")[0] for one in files}


def test_parts_are_joined_and_the_given_split_stays_as_a_column() -> None:
    files = ["train/cat/1", "train/dog/deep/1", "val/cat/1", "train/loose", "loose"]
    found = listed(*files, layout="split/class")
    assert found.images.to_numpy().tolist() == [
        ["train/cat/1", "cat", "train"],
        ["train/dog/deep/1", "dog", "train"],
        ["val/cat/1", "cat", "val"],
    ]
    assert found.images.columns.tolist() == ["path", "label", GIVEN_SPLIT]
    assert [path for path, reason, _ in found.refused if reason == "no_class_folder"] == ["loose", "train/loose"]
    production = listed(*files, role=PRODUCTION, layout="split/class").images.to_numpy().tolist()
    assert ["train/loose", "", "train"] in production
    assert ["loose", "", ""] in production


def test_folders_that_look_the_same_are_one_class_or_refused() -> None:
    found = listed("caf\u00e9/1", "cafe\u0301/2", "dog /3", "dog/4")
    assert set(found.images["label"]) == {"caf\u00e9", "dog"}
    assert [note for note in found.notes if "dog  [64 6f 67 20] as dog" in note]
    with pytest.raises(DataError, match=r"class folders of /data/set .*\n.*Cat \[43 61 74\] and cat \[63 61 74\]"):
        listed("Cat/1", "cat/1")
    for folder in ("c\x1b[31m", "\u200b", " ", "a\x00b"):
        with pytest.raises(DataError, match="the class folders of /data/set cannot be used") as caught:
            listed(f"{folder}/1", "dog/1")
        assert "\x1b" not in str(caught.value)


def test_a_class_that_is_called_as_programs_call_nothing_is_told() -> None:
    assert listed("nan/1", "nan/2", "dog/1").notes == (
        "classes named like an empty cell of some programs: nan (2 images). Are they classes?",
    )
