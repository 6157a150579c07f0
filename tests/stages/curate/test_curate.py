"""curate: one manifest of all sources, and a count for every file of each."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError, ParamsError
from pipeline.issues import ISSUES
from pipeline.manifest import CURATED, GROUPS, INGESTED, SCENE_PAIRS, SPLIT, check_manifest
from pipeline.project.runner import run_stage
from pipeline.stages.curate.outputs import CurateOutputs
from pipeline.stages.curate.stage import Earlier, Origin, curate
from pipeline.store.arrow import write_arrow
from pipeline.store.decisions import Decision
from pipeline.store.pair_decisions import PairDecision
from pipeline.store.shards import ShardReader
from pipeline.store.vectors import Embeddings
from pipeline.workers.engine import Engine
from tests.examples import encoded, params, picture, with_columns, write_source

ROLES = {"phone": "production", "web": "raw"}
Source = tuple[pd.DataFrame, pd.DataFrame]
PICTURE = encoded(picture(1))
NO_VECTORS = Embeddings(Path("nowhere"), catalogue.EMBEDDED)
NO_GROUPS = GROUPS.empty_table().to_pandas()
NO_PAIRS = SCENE_PAIRS.empty_table().to_pandas()
NOTHING_EARLIER = Earlier(NO_PAIRS, NO_GROUPS)


def source(name: str, images: list[tuple[str, str]], rejected: int = 0) -> Source:
    """What ingest gives for files of (label, content), in the order of their names."""
    frame = pd.DataFrame(images, columns=["label", "sha256"], dtype="str")
    frame["path"] = [f"{label}/{number:03}.png" for number, (label, _) in enumerate(images)]
    frame = frame.assign(id=f"{name}/" + frame["path"], source=name, role=ROLES.get(name, "raw"))
    refused = [(f"bad/{number}", "empty", "") for number in range(rejected)]
    frame = frame.assign(luma_5=60, luma_99=200, colour_99=90, information=7.0, blur=0.4)
    return with_columns(frame, INGESTED), pd.DataFrame(refused, columns=["path", "reason", "detail"])


class Anything(ShardReader):
    """Shards that have one picture in every row."""

    def image(self, shard: str, row: int) -> bytes:
        return PICTURE


def curated(
    ingested: Mapping[str, Source],
    conflicting: str = "reject",
    decisions: Sequence[Decision] = (),
    pair_decisions: Sequence[PairDecision] = (),
    **problem: Any,
) -> CurateOutputs:
    changes = {f"problem.{name}": value for name, value in problem.items()}
    changes = {"problem": problem} if "name" in problem else changes
    chosen = params(**{"curate.conflicting_labels": conflicting, **changes})
    readers = {name: partial(ingested.__getitem__, name) for name in ingested}
    origin = Origin(chosen.sources, chosen.problem, decisions, pair_decisions)
    return curate(readers, Anything(), NO_VECTORS, NOTHING_EARLIER, origin, chosen.curate, "pad", Engine(1))


WEB = source("web", [("cat", "a"), ("cat", "a"), ("dog", "b"), ("cat", "c"), ("dog", "c"), ("emu", "d")], rejected=2)
PHONE = source("phone", [("emu", "d"), ("dog", "e")], rejected=1)


def test_duplicates_go_and_production_images_stay() -> None:
    outputs = curated({"web": WEB, "phone": PHONE})
    assert check_manifest(outputs.manifest, CURATED)["id"].tolist() == [
        "phone/dog/001.png",
        "phone/emu/000.png",
        "web/cat/000.png",
        "web/dog/002.png",
    ]
    assert outputs.removed[["id", "reason", "detail"]].to_numpy().tolist() == [
        ["web/cat/001.png", "duplicate", "web/cat/000.png"],
        ["web/cat/003.png", "conflicting_labels", "cat / dog"],
        ["web/dog/004.png", "conflicting_labels", "cat / dog"],
        ["web/emu/005.png", "duplicate", "phone/emu/000.png"],
    ]
    assert outputs.metrics == {
        "sources": {
            "phone": {"files": 3, "rejected": 1, "removed": 0, "kept": 2, "unlabelled": 0},
            "web": {"files": 8, "rejected": 2, "removed": 4, "kept": 2, "unlabelled": 0},
        },
        "issues": {"phone": dict.fromkeys(ISSUES, 0), "web": dict.fromkeys(ISSUES, 0)},
        "near_duplicates": {"images": 0, "groups": 0, "two_labels": 0},
        "scenes": {"images": 0, "groups": 0, "two_labels": 0, "grouped": 0, "pairs": 0, "crowds": 0},
        "confounding": {"facts": 0, "named": 0, "share": {}},
        "decisions": {
            **dict.fromkeys(("keep", "relabel", "label", "drop", "not_sure"), 0),
            **dict.fromkeys(("conflicts", "stale", "unknown", "images"), 0),
        },
        "pair_decisions": dict.fromkeys(
            ("same", "not_same", "not_sure", "conflicts", "contradictions", "unknown", "links_cut"), 0
        ),
        "joined_groups": 0,
        "relabelled": 0,
    }
    assert outputs.summary == (
        "4 images kept, 2 conflicting_labels, 2 duplicate\n"
        "  5 pictures are too small or too plain to search for near-duplicates"
    )


FILES = st.lists(st.tuples(st.sampled_from(["cat", "dog", "emu"]), st.sampled_from("abcdefgh")), min_size=1, max_size=9)


@settings(deadline=None, max_examples=25)
@given(FILES, FILES, st.integers(0, 3), st.sampled_from(["reject", "keep"]))
def test_files_are_those_rejected_removed_and_kept(
    web: list[tuple[str, str]], phone: list[tuple[str, str]], rejected: int, conflicting: str
) -> None:
    outputs = curated({"web": source("web", web, rejected), "phone": source("phone", phone)}, conflicting)
    for name, images in (("web", web), ("phone", phone)):
        counts = outputs.metrics["sources"][name]
        assert counts["files"] == len(images) + counts["rejected"]
        assert counts["files"] == counts["rejected"] + counts["removed"] + counts["kept"]
    assert len(outputs.manifest) + len(outputs.removed) == len(web) + len(phone)
    assert not set(outputs.manifest["id"]) & set(outputs.removed["id"])
    identity = ["sha256", "label"] if conflicting == "keep" else ["sha256"]
    assert not outputs.manifest.duplicated(identity).any()


def test_conflicting_labels_stop_the_stage_if_params_say_so() -> None:
    message = (
        r"^pictures with two labels: 1, in the files web/cat/003\.png, web/dog/004\.png\. Correct the labels, or "
        r"set cura"
    )
    with pytest.raises(DataError, match=message):
        curated({"web": WEB, "phone": PHONE}, "error")


@pytest.mark.parametrize(
    ("names", "missing"), [(["web"], "phone"), ([], "web, phone"), (["phone", "old"], "web"), (["old"], "web, phone")]
)
def test_a_source_that_was_not_ingested_is_named(names: list[str], missing: str) -> None:
    with pytest.raises(MissingInputError, match=rf"^sources not ingested yet: {missing}; run `dvc repro ingest`$"):
        curated({name: source(name, [("cat", "a")]) for name in names})


def test_the_order_of_sources_and_files_does_not_count() -> None:
    web, phone = ((frame.iloc[::-1].reset_index(drop=True), rejected) for frame, rejected in (WEB, PHONE))
    outputs, plain = curated({"phone": phone, "web": web}), curated({"web": WEB, "phone": PHONE})
    pd.testing.assert_frame_equal(outputs.manifest, plain.manifest)
    pd.testing.assert_frame_equal(outputs.removed, plain.removed)
    assert outputs.metrics == plain.metrics


def write_ingested(name: str, images: Source) -> Path:
    folder = Path("data/ingest") / name
    folder.mkdir(parents=True)
    catalogue.INGESTED.write(images[0], folder / "manifest.arrow")
    catalogue.INGEST_REJECTED.write(images[1], folder / "rejected.csv")
    (folder / "shards").mkdir()
    write_arrow(pa.table({"image": [PICTURE, PICTURE]}), folder / "shards" / "x.arrow")
    return folder


def leave_manifest_of_another_version(folder: Path) -> None:
    catalogue.CURATED.write(with_columns(WEB[0], CURATED), folder / "manifest.arrow")


OLD_FOLDERS: dict[str, Any] = {
    "whole": lambda folder: None,
    "without a table": lambda folder: (folder / "rejected.csv").unlink(),
    "cut": lambda folder: (folder / "manifest.arrow").write_bytes(b"ARROW1"),
    "of another version": leave_manifest_of_another_version,
    "shards alone": lambda folder: (folder / "manifest.arrow").unlink(),
}


@pytest.mark.parametrize("state", OLD_FOLDERS)
def test_the_folder_of_a_source_that_params_no_longer_name_does_not_count(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_ingested("web", WEB)
    write_ingested("phone", PHONE)
    run_stage("curate", params(), Engine(1))
    plain = Path(catalogue.CURATED.path).read_bytes()
    OLD_FOLDERS[state](write_ingested("old", source("old", [("cat", "z")])))
    Path("data/ingest/notes.txt").write_text("no folder")
    run_stage("curate", params(), Engine(1))
    assert Path(catalogue.CURATED.path).read_bytes() == plain
    assert catalogue.CURATE_METRICS.read(Path(catalogue.CURATE_METRICS.path))["sources"].keys() == {"phone", "web"}


@pytest.mark.parametrize(
    ("groups", "joined", "words"),
    [
        pytest.param("aabb", 0, "", id="none"),
        pytest.param(
            "abbb", 1, "groups joined by equal files or near-duplicates; they stay in one split: a + b", id="one"
        ),
        pytest.param("abcdefgh", 4, "in one split: a + b, c + d, e + f and 1 more", id="the first three are shown"),
    ],
)
def test_groups_that_equal_files_join_are_shown(groups: str, joined: int, words: str) -> None:
    # Each two neighbours are equal files.
    images, rejected = source("phone", [("cat", str(number // 2)) for number in range(len(groups))])
    outputs = curated(
        {"phone": (images.assign(user_group=list(groups)), rejected), "web": source("web", [("dog", "z")])}
    )
    assert outputs.metrics["joined_groups"] == len(outputs.joined) == joined
    assert f"{words}\n" in outputs.summary
    assert ("groups joined by" in outputs.summary) == (joined > 0)
    assert not set(outputs.removed["reason"]) - {"duplicate"}


def test_a_source_may_be_called_as_a_metric_is() -> None:
    counts = curated({"phone": PHONE, "web": WEB}).metrics["sources"]["web"]
    named = params(sources={"joined_groups": {"role": "production", "path": "x"}})
    readers = {"joined_groups": lambda: WEB}
    origin = Origin(named.sources, named.problem)
    outputs = curate(readers, Anything(), NO_VECTORS, NOTHING_EARLIER, origin, named.curate, "pad", Engine(1))
    assert outputs.metrics["sources"]["joined_groups"]["files"] == counts["files"]
    assert outputs.metrics["joined_groups"] == 0


def test_metadata_travels_through_the_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_source(Path("phone"), {"cat": 30, "dog": 30}, seed=1)
    write_source(Path("web"), {"cat": 20, "dog": 20}, seed=2)
    # A web image that also stands in a phone's session belongs to it.
    Path("web/cat/000.png").write_bytes(Path("phone/cat/029.png").read_bytes())
    rows = [
        f"{label}/{number:03}.png,session {number // 3},{label} cam" for label in ("cat", "dog") for number in range(30)
    ]
    Path("phone/metadata.csv").write_text("\n".join(["file_name,group,camera", *rows]))
    sources = {"phone": {"role": "production", "path": "phone"}, "web": {"role": "raw", "path": "web"}}
    changes = {"split.stratify_by": ["camera"], "split.min_per_class": 2, "ingest.size": 16, "split.train_dev": 0.3}
    chosen = params(sources=sources, **changes)
    for name in sources:
        run_stage("ingest", chosen, Engine(1), name)
    run_stage("curate", chosen, Engine(1))
    run_stage("split", chosen, Engine(1))
    read = [
        check_manifest(artifact.read(Path(artifact.path)), SPLIT)
        for artifact in (catalogue.SPLIT, catalogue.SPLIT_TEST)
    ]
    manifest = pd.concat([rows.astype({"meta_camera": str, "label": str, "split": str}) for rows in read])
    assert [name for name in manifest.columns if name not in SPLIT.names] == ["meta_camera"]
    cameras = manifest["meta_camera"].where(manifest["source"] == "phone", "none")
    assert cameras.tolist() == (manifest["label"] + " cam").where(manifest["source"] == "phone", "none").tolist()
    assert set(manifest.loc[manifest["source"] == "web", "meta_camera"]) == {""}
    assert set(manifest.loc[manifest["source"] == "phone", "group"]) == {
        f"group:session {number}" for number in range(10)
    }
    assert manifest.groupby("group")["split"].nunique().max() == 1
    removed = catalogue.CURATE_REMOVED.read(Path(catalogue.CURATE_REMOVED.path))
    assert removed["id"].tolist() == ["web/cat/000.png"]


def test_classes_are_those_of_the_problem_before_labels_can_conflict() -> None:
    """A picture labelled cat and dog is a conflict, unless both are pets."""
    found = curated({"phone": PHONE, "web": WEB})
    assert (found.removed["reason"] == "conflicting_labels").sum() == 2
    assert found.metrics["relabelled"] == 0
    pets = curated({"phone": PHONE, "web": WEB}, merge={"pet": ["cat", "dog"]})
    assert not (pets.removed["reason"] == "conflicting_labels").any()
    assert set(pets.manifest["label"]) == {"pet", "emu"}
    assert pets.metrics["relabelled"] == 6
    assert "6 images labelled cat, dog now have the class pet" in pets.summary
    with pytest.raises(DataError, match="did you mean cat"):
        curated({"phone": PHONE, "web": WEB}, rename={"cta": "pet"})


def test_bins_are_made_of_a_column_which_is_no_confounder() -> None:
    web, phone = (
        (rows.assign(meta_ripeness=[str(number) for number in range(len(rows))]), refused)
        for rows, refused in (WEB, PHONE)
    )
    found = curated(
        {"web": web, "phone": phone}, name="bins", column="ripeness", edges=[0, 2, 9], names=["low", "high"]
    )
    # Decided by the column alone: the labels of these two files of one content differ, their values are in one bin.
    assert found.manifest[["id", "label"]].to_numpy().tolist() == [
        ["phone/dog/001.png", "low"],
        ["web/cat/000.png", "low"],
        ["web/cat/003.png", "high"],
        ["web/dog/002.png", "high"],
    ]
    assert "images labelled 2, 3, 4, 5 now have the class high" in found.summary
    assert "ripeness" not in set(found.confounding["fact"])
    with pytest.raises(ParamsError, match="names 'ripenes', which no table of the sources has, did you mean ripeness"):
        curated({"web": web, "phone": phone}, name="bins", column="ripenes", edges=[0, 2, 9])
    lost = web[0].assign(meta_ripeness=["", *"12345"])
    with pytest.raises(DataError, match=r"1 raw images have no value in the column ripeness: web/cat/000\.png"):
        curated({"web": (lost, web[1]), "phone": phone}, name="bins", column="ripeness", edges=[0, 2, 9])
