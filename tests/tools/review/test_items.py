"""Which images are reviewed: dev's errors among as many right ones, and never one of test."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import catalogue
from pipeline.data.vectors import ImageVectors
from pipeline.errors import DataError
from pipeline.manifest import CURATED, INGESTED, PREDICTIONS, SCENE_PAIRS, SPLIT
from pipeline.stages.curate.pairing import PARTED_COLUMNS
from pipeline.tools.review import items as review_items
from pipeline.tools.review.items import classes_of_sources, items
from pipeline.tools.review.neighbours import Neighbours
from tests.examples import with_columns

NAMES = [f"phone/{number:02}.png" for number in range(40)]
TEST = NAMES[30:]
Write = Callable[[str, pd.DataFrame], None]


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
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
    two = frame["id"].isin([NAMES[4]])
    write("CURATED", with_columns(frame.assign(label=frame["label"].where(~two, "car")), CURATED))
    split = frame.assign(split="test", group=frame["id"])
    write("SPLIT_TEST", with_columns(split[30:], SPLIT))
    write("SPLIT_UNUSED", with_columns(split[20:25].assign(label="", split="unlabelled"), SPLIT))
    said = split[:20].assign(split="dev", predicted=["car"] * 5 + ["pet"] * 15, confidence=0.75)
    write("PREDICTIONS", with_columns(said, PREDICTIONS))
    issues = pd.DataFrame({"id": [NAMES[1], TEST[0], NAMES[0]], "quality": [0.2, 0.0, 0.1], "suggested": "car"})
    write("SPLIT", with_columns(split[:20].assign(split="train"), SPLIT))
    near = {"group": "g", "family": ["f", "f", "h", "h", "h"], "id": [NAMES[2], NAMES[3], NAMES[5], NAMES[4], TEST[1]]}
    near |= {"source": "phone", "role": "production", "label": "pet"}
    near |= {"near_copy_of": [NAMES[3], NAMES[2], NAMES[4], NAMES[5], NAMES[4]]}
    write("CURATE_NEAR", pd.DataFrame({**near, "labels": ["", "", *["cat, car"] * 3]}))
    write("CURATE_SCENES", pd.DataFrame({name: [] for name in near}, dtype="str"))
    write("CURATE_PARTED", pd.DataFrame({name: [] for name in PARTED_COLUMNS}, dtype="str"))
    write("LABEL_ISSUES", issues.assign(split="train", source="phone", role="production", label="pet"))
    return write


def test_errors_come_with_as_many_right_ones_mixed() -> None:
    found, labels = items("errors", 1)
    assert classes_of_sources(labels) == ["cat"]
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


def pairs() -> list[tuple[str, str, str]]:
    return [(one.id[-6:-4], one.other.id[-6:-4], one.found_as) for one in items("copies", 1)[0] if one.other]


def test_pairs_with_two_labels_come_first_and_none_of_test() -> None:
    assert pairs() == [("04", "05", "near-duplicates"), ("02", "03", "near-duplicates")]
    one = items("copies", 1)[0][0]
    assert (one.split, one.label) == ("train", "cat")


def test_scenes_come_by_how_little_agrees_and_only_what_connects_them(run: Write) -> None:
    ends = [(6, 7, 40), (7, 8, 10), (6, 8, 20), (9, 10, 15), (11, 31, 12)]
    memory = pd.DataFrame([(f"{a:064x}", f"{b:064x}", n, True, "r") for a, b, n in ends], columns=SCENE_PAIRS.names)
    run("CURATE_SCENE_PAIRS", memory.astype({"places": "int32"}))
    table = pd.DataFrame({"id": [NAMES[number] for number in (6, 7, 8, 9, 10, 11, 31)]})
    run("CURATE_SCENES", table.assign(family="f", labels="", near_copy_of="", group="g", source="phone"))
    scene = "one scene, {} details agree"
    assert pairs()[1:] == [
        ("09", "10", scene.format(15)),
        ("06", "08", scene.format(20)),
        ("06", "07", scene.format(40)),
        ("02", "03", "near-duplicates"),
    ]


def test_what_decisions_cut_is_asked_early_and_what_was_decided_last(run: Write) -> None:
    cut = {
        "one_id": [NAMES[12], NAMES[13]],
        "other_id": [NAMES[14], NAMES[15]],
        "found_as": ["scene", "near_duplicate"],
    }
    run("CURATE_PARTED", pd.DataFrame({**cut, "reason": ["not_same", "joins_not_same"], "one": "", "other": ""}))
    assert [(one, other) for one, other, _ in pairs()] == [("04", "05"), ("13", "15"), ("02", "03"), ("12", "14")]


def test_outliers_come_the_most_unusual_first(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    vectors = 1 + generator.normal(0, 0.02, (20, 8)).astype(np.float32)
    vectors[7], vectors[3] = -vectors[7], vectors[3] * np.linspace(-0.5, 1, 8)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    monkeypatch.setattr(review_items, "image_vectors", lambda *_: ImageVectors(vectors, "embeddings"))
    assert [one.id for one in items("outliers", 1)[0]][:2] == [NAMES[7], NAMES[3]]


def test_what_looks_like_an_image_is_never_of_test() -> None:
    rows = catalogue.SPLIT.read(Path(catalogue.SPLIT.path))
    vectors = np.eye(20, dtype=np.float16)
    vectors[1] = vectors[0] + vectors[2]
    beside = Neighbours(rows, vectors, dict.fromkeys(NAMES, "cat"))
    found = beside.of(f"{1:064x}")
    assert {one.id for one in found[:2]} == {NAMES[0], NAMES[2]}
    assert NAMES[1] not in {one.id for one in found}
    assert beside.shard_row(f"{2:064x}") == ("s", 2)
    assert beside.shard_row(f"{35:064x}") is None
    assert beside.of("f" * 64) == []
    assert Neighbours(rows, None, {}).of(f"{1:064x}") == []
