"""Which images are reviewed: dev's errors among as many right ones, and never one of test."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline import catalogue
from pipeline.errors import DataError
from pipeline.manifest import CURATED, INGESTED, PREDICTIONS, SPLIT
from pipeline.tools.review.items import items
from tests.examples import with_columns

NAMES = [f"phone/{number:02}.png" for number in range(40)]
TEST = NAMES[30:]


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in which `problem` merged the source's classes: dev has 20 images, 5 of them misclassified."""
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"id": NAMES, "path": NAMES, "sha256": [f"{n:064x}" for n in range(40)], "role": "production"})
    frame = frame.assign(source="phone", label="pet", shard="s", row=range(40))

    def write(name: str, rows: pd.DataFrame) -> None:
        artifact = getattr(catalogue, name).named(name="phone")
        Path(artifact.path).parent.mkdir(parents=True, exist_ok=True)
        artifact.write(rows, Path(artifact.path))

    write("INGESTED", with_columns(frame.assign(label="cat"), INGESTED))
    write("INGEST_REJECTED", pd.DataFrame(columns=["path", "reason", "detail"]))
    write("CURATED", with_columns(frame, CURATED))
    split = frame.assign(split="test", group=frame["id"])
    write("SPLIT_TEST", with_columns(split[30:], SPLIT))
    write("SPLIT_UNUSED", with_columns(split[20:25].assign(label="", split="unlabelled"), SPLIT))
    said = split[:20].assign(split="dev", predicted=["car"] * 5 + ["pet"] * 15, confidence=0.75)
    write("PREDICTIONS", with_columns(said, PREDICTIONS))
    issues = pd.DataFrame({"id": [NAMES[1], TEST[0], NAMES[0]], "quality": [0.2, 0.0, 0.1], "suggested": "car"})
    write("LABEL_ISSUES", issues.assign(split="train", source="phone", role="production", label="pet"))


def test_errors_come_with_as_many_right_ones_mixed() -> None:
    found, labels = items("errors", 1)
    assert labels == ["cat"]
    assert {one.label for one in found} == {"cat"}
    assert sorted(one.id for one in found if one.is_error) == NAMES[:5]
    assert sum(not one.is_error for one in found) == 5
    assert [one.is_error for one in found] not in ([True] * 5 + [False] * 5, [False] * 5 + [True] * 5)
    assert {(one.predicted, one.confidence) for one in found} == {("car", 0.75), ("pet", 0.75)}
    assert items("errors", 1) == (found, labels)
    assert items("errors", 2)[0] != found


def test_label_issues_come_by_quality_and_never_from_test() -> None:
    assert [one.id for one in items("labels", 1)[0]] == [NAMES[0], NAMES[1]]


def test_the_queue_has_the_unlabelled_images() -> None:
    assert sorted(one.id for one in items("queue", 1)[0]) == NAMES[20:25]


def test_nothing_to_review_is_said() -> None:
    path = Path(catalogue.LABEL_ISSUES.path)
    catalogue.LABEL_ISSUES.write(catalogue.LABEL_ISSUES.read(path)[:0], path)
    with pytest.raises(DataError, match="nothing to review for labels"):
        items("labels", 1)
