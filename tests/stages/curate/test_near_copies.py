"""Near copies become one group from ingest to split, whatever changed them; nothing else does."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import catalogue
from pipeline.images.perceptual import marks, views
from pipeline.images.pixels import Pixels
from pipeline.manifest import HASHES, SPLIT, check_manifest
from pipeline.project.params_file import Params
from pipeline.project.runner import run_stage
from pipeline.stages.curate.pictures import measure_pictures
from pipeline.workers.engine import Engine
from tests.examples import encoded, params
from tests.stages.curate.similar import CHANGES, brighter, cropped, half, jpeg, scene

SOURCES = {"phone": {"role": "production", "path": "phone"}, "web": {"role": "raw", "path": "web"}}
Pictures = Mapping[str, Pixels]


def changed(**changes: Any) -> Params:
    values = {"sources": SOURCES, "ingest.size": 64, "ingest.encoding": {"name": "jpeg", "quality": 90}}
    return params(**{**values, "split.min_per_class": 1, "split.train_dev": 0.2, **changes})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(pictures: Pictures) -> None:
    """Files named <source>/<class>/<name>."""
    for name, pixels in pictures.items():
        path = Path(f"{name}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(pixels))


def curated(chosen: Params, workers: int = 1) -> pd.DataFrame:
    """What curate makes of the files; columns id (without .png) and group."""
    for source in chosen.sources:
        run_stage("ingest", chosen, Engine(workers), source)
    run_stage("curate", chosen, Engine(workers))
    manifest: pd.DataFrame = catalogue.CURATED.read(Path(catalogue.CURATED.path))
    return manifest.assign(id=manifest["id"].str.removesuffix(".png"))


def families(manifest: pd.DataFrame) -> list[list[str]]:
    """The ids of each group with several images."""
    return sorted(sorted(ids) for _, ids in manifest.groupby("group")["id"] if len(ids) > 1)


def listed() -> list[list[str]]:
    table = catalogue.CURATE_NEAR.read(Path(catalogue.CURATE_NEAR.path))
    return [[str(value) for value in row] for row in table[["id", "near_copy_of", "labels"]].to_numpy()]


def metrics() -> Any:
    return catalogue.CURATE_METRICS.read(Path(catalogue.CURATE_METRICS.path))["near_duplicates"]


OTHERS = {f"phone/cat/{seed}": scene(seed) for seed in range(20, 23)} | {
    f"web/cat/{seed}": scene(seed) for seed in range(23, 26)
}


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_copy_of_any_kind_is_in_the_group_of_its_original_in_another_source(fit: str) -> None:
    originals = {f"phone/cat/{name}": scene(seed, 240, 320) for seed, name in enumerate(CHANGES)}
    copies = {f"web/cat/{name}": CHANGES[name](scene(seed, 240, 320)) for seed, name in enumerate(CHANGES)}
    write({**originals, **copies, **OTHERS})
    manifest = curated(changed(**{"ingest.fit": fit, "ingest.size": 128}))
    assert families(manifest) == [sorted(pair) for pair in sorted(zip(originals, copies, strict=True))]
    production = manifest[manifest["source"] == "phone"]
    assert production["group"].tolist() == production["sha256"].tolist()
    assert metrics() == {"images": 2 * len(CHANGES), "groups": len(CHANGES), "two_labels": 0}


def test_a_copy_follows_its_original_into_a_split_and_a_raw_one_leaves_train() -> None:
    copies = (jpeg, half, brighter, lambda pixels: cropped(pixels, 0.02))
    labels = ["cat", "dog"] * 15
    phone = {f"phone/{label}/{seed}": scene(seed) for seed, label in enumerate(labels)}
    web = {f"web/{label}/{seed}": copies[seed % 4](scene(seed)) for seed, label in enumerate(labels)}
    write({**phone, **web, "web/cat/other": scene(99)})
    chosen = changed()
    curated(chosen)
    run_stage("split", chosen, Engine(1))
    read = [artifact.read(Path(artifact.path)) for artifact in (catalogue.SPLIT, catalogue.SPLIT_TEST)]
    manifest = pd.concat([check_manifest(rows, SPLIT).astype({"split": str, "source": str}) for rows in read])
    assert manifest.groupby("group")["split"].nunique().max() == 1
    assert {"dev", "test"} <= set(manifest["split"])
    assert set(manifest.loc[manifest["split"].isin(["dev", "test"]), "source"]) == {"phone"}
    excluded = catalogue.SPLIT_EXCLUDED.read(Path(catalogue.SPLIT_EXCLUDED.path))
    measured = manifest.loc[manifest["split"].isin(["dev", "test"]), "id"]
    assert sorted(excluded["id"]) == sorted(measured.str.replace("phone", "web"))
    assert {*excluded["id"], *manifest["id"]} == {f"{name}.png" for name in (*phone, *web, "web/cat/other")}


def test_a_chain_of_copies_is_one_group_and_lists_who_is_whose() -> None:
    chain = {f"phone/cat/{step}": cropped(scene(1, 480, 640), 0.03 * step) for step in range(3)}
    write({**chain, **OTHERS})
    assert families(curated(changed())) == [sorted(chain)]
    assert [names[:2] for names in listed()] == [
        ["phone/cat/0.png", "phone/cat/1.png"],
        ["phone/cat/1.png", "phone/cat/0.png"],
        ["phone/cat/2.png", "phone/cat/1.png"],
    ]
    Path("phone/cat/1.png").unlink()
    assert families(curated(changed())) == []


def test_different_plain_and_small_pictures_are_groups_of_their_own() -> None:
    plain = {f"web/cat/plain {grey}": np.full((80, 80, 3), grey, np.uint8) for grey in range(200, 208)}
    small = {f"web/dog/small {name}": change(scene(1, 31, 50)) for name, change in (("one", jpeg), ("two", brighter))}
    write({**plain, **small, **OTHERS})
    chosen = changed()
    assert families(curated(chosen)) == []
    assert listed() == []
    assert untimed(run_stage("curate", chosen, Engine(1))).startswith(
        "curate: 16 images kept, no duplicates\n"
        "  10 pictures are too small or too plain to search for near-duplicates\n  issues"
    )


def untimed(summary: str) -> str:
    """Without the seconds that the stage took."""
    return re.sub(r" \(\d+\.\d s\)", "", summary)


def test_a_raw_copy_does_not_rename_a_production_group() -> None:
    write({f"phone/cat/{seed}": scene(seed) for seed in range(8)} | OTHERS)
    chosen = changed()
    before = curated(chosen).set_index("id")["group"]
    write({f"web/cat/{seed}": jpeg(scene(seed)) for seed in range(8)})
    manifest = curated(chosen)
    assert len(families(manifest)) == 8
    assert manifest.set_index("id")["group"][before.index].to_dict() == before.to_dict()


def outs() -> dict[str, bytes]:
    paths = [path for path in Path().rglob("*") if path.is_file() and path.parts[0] in {"data", "reports"}]
    # How long stages took is no result.
    paths = [path for path in paths if path != Path(catalogue.TIMING)]
    return {path.as_posix(): path.read_bytes() for path in paths}


def test_workers_and_an_earlier_run_do_not_change_a_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.stages.curate.pictures.CHUNK", 3)
    write({f"phone/cat/{seed}": scene(seed) for seed in range(4)} | OTHERS)
    write({f"web/cat/{seed}": half(scene(seed)) for seed in range(4)})
    curated(changed(), workers=2)
    content = outs()
    curated(changed())
    assert outs() == content
    assert len(listed()) == 8


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_look_sees_what_was_hashed(fit: str) -> None:
    write({f"phone/cat/{seed}": scene(seed, 90, 200 - seed) for seed in range(5)} | OTHERS)
    chosen = changed(**{"ingest.fit": fit, "ingest.encoding": {"name": "png"}})
    curated(chosen)
    contents = catalogue.INGESTED.read(Path("data/ingest/phone/manifest.arrow"))
    rows = np.array([0, 2, 3])
    reader = catalogue.ORIGINALS.read(Path("data/ingest"))
    seen = measure_pictures(rows, views, contents, reader, fit, Engine(1))
    assert [marks(shown)[0].tolist() for shown in seen] == contents[[*HASHES]].iloc[rows].to_numpy().tolist()


def test_near_copies_may_be_ignored() -> None:
    write({"phone/cat/1": scene(1), "web/cat/1": jpeg(scene(1)), **OTHERS})
    chosen = changed(**{"curate.near_duplicates": "ignore"})
    manifest = curated(chosen)
    assert manifest["group"].tolist() == manifest["sha256"].tolist()
    assert listed() == []
    assert run_stage("curate", chosen, Engine(1)).startswith("curate: 8 images kept, no duplicates (")


def test_copies_under_two_labels_stay_and_are_shown() -> None:
    write({"phone/cat/1": scene(1), "web/dog/1": jpeg(scene(1)), "web/cat/2": scene(2), "web/cat/3": half(scene(2))})
    write({"web/cat/equal": scene(1), **OTHERS})
    chosen = changed()
    assert families(curated(chosen)) == [["phone/cat/1", "web/dog/1"], ["web/cat/2", "web/cat/3"]]
    assert sorted(listed()) == [
        ["phone/cat/1.png", "web/dog/1.png", "cat / dog"],
        ["web/cat/2.png", "web/cat/3.png", ""],
        ["web/cat/3.png", "web/cat/2.png", ""],
        ["web/dog/1.png", "phone/cat/1.png", "cat / dog"],
    ]
    assert metrics() == {"images": 4, "groups": 2, "two_labels": 1}
    assert untimed(run_stage("curate", chosen, Engine(1))).startswith(
        "curate: 10 images kept, 1 duplicate\n"
        "  4 images are near-duplicates, in 2 groups of up to 2; each group stays in one split: "
        "see data/curate/near_duplicates.csv\n"
        "  1 of these groups have two labels: those of phone/cat/1.png"
    )


def test_user_groups_that_near_copies_join_are_shown() -> None:
    write({"phone/cat/1": scene(1), "phone/cat/2": jpeg(scene(1)), "web/cat/3": scene(3)})
    Path("phone/metadata.csv").write_text("file_name,group\ncat/1.png,a\ncat/2.png,b\n")
    chosen = changed()
    manifest = curated(chosen).set_index("id")
    assert manifest.loc[["phone/cat/1", "phone/cat/2"], "group"].tolist() == ["group:a", "group:a"]
    assert "\n  groups joined by equal files or near-duplicates; they stay in one split: a + b" in (
        run_stage("curate", chosen, Engine(1))
    )
