"""curate with people's decisions: labels are corrected before anything is judged, and what does not fit is told."""

from pathlib import Path
from typing import Any

import pytest

from pipeline import catalogue
from pipeline.errors import DataError
from pipeline.project.runner import run_stage
from pipeline.stages.curate.outputs import CurateOutputs
from pipeline.store.decisions import LABELS, Decision
from pipeline.workers.engine import Engine
from tests.examples import params, write_source
from tests.stages.curate.test_curate import WEB, curated, source

ALL = source("phone", [("emu", "d"), ("dog", "e"), ("", "f"), ("emu", "g")])


def decision(sha256: str, kind: str, labels: str, who: str = "ann", when: str = "2026-01-31T09:30:00Z") -> Decision:
    before, _, after = labels.partition(">")
    return Decision(sha256, kind, before, after, who, when, why="seen", id=f"image {sha256}")


def corrected(*decisions: Decision, **problem: Any) -> CurateOutputs:
    return curated({"web": WEB, "phone": ALL}, decisions=decisions, **problem)


def labels(outputs: CurateOutputs) -> dict[str, str]:
    return dict(zip(outputs.manifest["sha256"], outputs.manifest["label"].astype(str), strict=True))


BEFORE = {"a": "cat", "b": "dog", "d": "emu", "e": "dog", "f": "", "g": "emu"}


def counts(**found: int) -> dict[str, int]:
    names = ("keep", "relabel", "label", "drop", "not_sure", "conflicts", "stale", "unknown", "images")
    return {name: found.get(name, 0) for name in names}


def test_without_decisions_nothing_changes() -> None:
    outputs = corrected()
    assert labels(outputs) == BEFORE
    assert outputs.metrics["decisions"] == counts()
    assert not outputs.decided


def test_decisions_correct_labels_give_first_ones_and_drop_images() -> None:
    outputs = corrected(
        decision("a", "relabel", "cat>emu"),
        decision("b", "keep", "dog"),
        decision("d", "drop", "emu"),
        decision("e", "not_sure", "dog"),
        decision("f", "relabel", ">cat"),
    )
    assert labels(outputs) == {"a": "emu", "b": "dog", "e": "dog", "f": "cat", "g": "emu"}
    # Both files of `a` and of `d`, and the one of `f`.
    assert outputs.metrics["decisions"] == counts(keep=1, relabel=1, label=1, drop=1, not_sure=1, images=5)
    dropped = outputs.removed[outputs.removed["reason"] == "dropped"]
    assert dropped[["id", "label", "detail"]].to_numpy().tolist() == [
        ["phone/emu/000.png", "emu", "ann: seen"],
        ["web/emu/005.png", "emu", "ann: seen"],
    ]
    assert (
        "5 files are corrected by feedback/labels.csv "
        "(contents: 1 relabelled, 1 labelled for the first time, 1 dropped)" in outputs.summary
    )
    for name, found in outputs.metrics["sources"].items():
        assert found["files"] == found["rejected"] + found["removed"] + found["kept"], name


@pytest.mark.parametrize("one", [decision("c", "keep", "cat"), decision("c", "relabel", "dog>cat")])
def test_a_decision_resolves_a_picture_with_two_labels(one: Decision) -> None:
    outputs = corrected(one)
    assert labels(outputs) == BEFORE | {"c": "cat"}
    assert outputs.metrics["decisions"] == counts(relabel=1, images=1)
    assert "conflicting_labels" not in set(outputs.removed["reason"])


def test_labels_are_corrected_before_problem_merges_classes() -> None:
    outputs = corrected(decision("a", "relabel", "cat>emu"), merge={"pet": ["cat", "dog"]})
    assert labels(outputs) == {"a": "emu", "b": "pet", "c": "pet", "d": "emu", "e": "pet", "f": "", "g": "emu"}


def test_people_who_differ_change_nothing_and_it_is_told() -> None:
    outputs = corrected(
        decision("a", "relabel", "cat>emu"),
        decision("a", "relabel", "cat>dog", who="bob"),
        decision("b", "drop", "dog"),
        decision("b", "keep", "dog", who="bob"),
        # One who is not sure does not differ, and two who say the same do not.
        decision("d", "drop", "emu"),
        decision("d", "not_sure", "emu", who="bob"),
        decision("f", "relabel", ">cat"),
        decision("f", "relabel", ">cat", who="bob"),
    )
    assert labels(outputs) == {"a": "cat", "b": "dog", "e": "dog", "f": "cat", "g": "emu"}
    assert outputs.metrics["decisions"] == counts(conflicts=2, drop=1, label=1, images=3)
    assert (
        "people differ on 2 images in feedback/labels.csv, which stay as they are: image a (ann: emu, bob: dog), "
        "image b (ann: drop, bob: dog)" in outputs.summary
    )


def test_decisions_that_fit_no_image_are_told() -> None:
    outputs = corrected(
        decision("a", "relabel", "dog>emu"), decision("f", "relabel", "cat>emu"), decision("nowhere", "drop", "cat")
    )
    assert labels(outputs) == BEFORE
    assert outputs.metrics["decisions"] == counts(stale=2, unknown=1)
    assert "2 decisions in feedback/labels.csv are stale" in outputs.summary
    assert "image a, image f. Decide again, or remove the rows" in outputs.summary
    assert "1 decision in feedback/labels.csv is on content that no source has: image nowhere" in outputs.summary


def test_a_class_that_no_source_has_is_told_and_a_typing_error_refused() -> None:
    assert "makes classes that no source has: fox" in corrected(decision("a", "relabel", "cat>fox")).summary
    with pytest.raises(
        DataError, match=r"after the corrections of feedback/labels\.csv: labels that may mean the same"
    ):
        corrected(decision("a", "relabel", "cat>Dog"))


def test_dropping_every_image_is_refused() -> None:
    sources = {"phone": source("phone", [("", "f")]), "web": source("web", [("emu", "g")])}
    with pytest.raises(DataError, match="drops all 2 images"):
        curated(sources, decisions=[decision("f", "drop", ""), decision("g", "drop", "emu")])


def test_the_stage_reads_the_file_and_never_writes_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_source(Path("phone"), {"cat": 3, "dog": 3}, seed=1)
    chosen = params(sources={"phone": {"role": "production", "path": "phone"}}, **{"ingest.size": 16})
    run_stage("ingest", chosen, Engine(1), "phone")
    run_stage("curate", chosen, Engine(1))
    before = catalogue.CURATED.read(Path(catalogue.CURATED.path))
    files = {path: path.read_bytes() for path in Path("phone").rglob("*.png")}
    image = before.iloc[0]
    one = Decision(image["sha256"], "relabel", "cat", "dog", "ann", "2026-01-31T09:30:00Z")
    Path("feedback").mkdir()
    Path("feedback/labels.csv").write_bytes(LABELS.render([one]))
    run_stage("curate", chosen, Engine(1))
    after = catalogue.CURATED.read(Path(catalogue.CURATED.path))
    assert after.set_index("id")["label"].astype(str).to_dict() == before.set_index("id")["label"].astype(
        str
    ).to_dict() | {image["id"]: "dog"}
    assert {path: path.read_bytes() for path in Path("phone").rglob("*.png")} == files
