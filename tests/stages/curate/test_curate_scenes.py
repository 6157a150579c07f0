"""curate groups images of one scene, across sources and roles, and tells of labels that differ inside one."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from pipeline import catalogue
from pipeline.errors import MissingInputError
from pipeline.project.runner import run_stage
from pipeline.store.pair_decisions import PAIRS, PairDecision, decide_pair
from pipeline.workers.engine import Engine
from tests.examples import encoded, params
from tests.images.exif import DETAILS, MODEL, ORIGINAL
from tests.scenes import crowded

SOURCES = {"web": {"role": "raw", "path": "web"}, "phone": {"role": "production", "path": "phone"}}
LITE = {"name": "efficientnet_lite0", "side": 96}
SIDE = 160


@pytest.fixture(autouse=True)
def _sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # Places 1 and 2 are seen in both sources, 1 under two labels; 3 to 6 once.
    for path, seed, step in (
        ("web/cat/1", 1, 0),
        ("web/cat/2", 2, 0),
        ("web/dog/3", 3, 0),
        ("web/dog/4", 4, 0),
        ("phone/cat/2", 2, 1),
        ("phone/dog/1", 1, 1),
        ("phone/dog/5", 5, 0),
        ("phone/cat/6", 6, 0),
    ):
        write(path, seed, step)


def write(path: str, seed: int, step: int) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    place = crowded(seed, 260, 220)[12 * step :][:SIDE, 30 * step : 30 * step + SIDE]
    Path(f"{path}.png").write_bytes(encoded(place))


def curated(
    scenes: str = "group", backbone: Any = LITE, size: int = SIDE, workers: int = 1
) -> tuple[str, pd.DataFrame]:
    changes = {
        "ingest.size": size,
        "curate.scenes": scenes,
        "embed.backbone": backbone,
        "curate.near_duplicates": "ignore",
    }
    chosen = params(sources=SOURCES, **changes)
    for name in SOURCES:
        run_stage("ingest", chosen, Engine(1), name)
    run_stage("embed", chosen, Engine(1))
    said = run_stage("curate", chosen, Engine(workers))
    manifest: pd.DataFrame = catalogue.CURATED.read(Path(catalogue.CURATED.path))
    return said, manifest


def partners(manifest: pd.DataFrame) -> list[list[str]]:
    groups = manifest.groupby("group")["id"].agg(sorted)
    return sorted(members for members in groups if len(members) > 1)


def metrics() -> dict[str, int]:
    found: dict[str, int] = catalogue.CURATE_METRICS.read(Path(catalogue.CURATE_METRICS.path))["scenes"]
    return found


TWO = [["phone/cat/2.png", "web/cat/2.png"], ["phone/dog/1.png", "web/cat/1.png"]]


def test_images_of_one_scene_are_one_group_across_sources() -> None:
    said, manifest = curated()
    assert partners(manifest) == TWO
    assert "4 images show 2 scenes, up to 2 images each; these stay in one split: see reports/curate/scenes.png" in said
    assert "1 of these scenes have several labels: those of phone/dog/1.png" in said
    assert metrics() == {"images": 4, "groups": 2, "two_labels": 1, "grouped": 1, "pairs": 2, "crowds": 0}
    table = catalogue.CURATE_SCENES.read(Path(catalogue.CURATE_SCENES.path))
    assert dict(zip(table["id"], table["labels"], strict=True)) == {
        **dict.fromkeys(TWO[0], ""),
        **dict.fromkeys(TWO[1], "cat / dog"),
    }


def test_people_say_which_images_show_the_same() -> None:
    _, before = curated()
    contents = before.set_index("id")["sha256"]

    def said(names: list[str], decision: str) -> PairDecision:
        ends = [(str(contents[name]), name) for name in names]
        return decide_pair(ends, decision, "ann", "2026-01-31T09:30:00Z", "")

    decisions = [said(TWO[0], "not_same"), said(["web/dog/3.png", "phone/cat/6.png"], "same")]
    Path("feedback").mkdir()
    Path(catalogue.PAIR_DECISIONS.path).write_bytes(PAIRS.render(decisions))
    message, manifest = curated()
    assert partners(manifest) == [["phone/cat/6.png", "web/dog/3.png"], TWO[1]]
    assert "1 pair of images is in one group, because feedback/pairs.csv says same" in message
    assert (
        "1 pair of images is in different groups although they look alike, because feedback/pairs.csv says not_same: "
        "see data/curate/parted.csv" in message
    )
    table = catalogue.CURATE_PARTED.read(Path(catalogue.CURATE_PARTED.path))
    assert table[["one_id", "other_id", "found_as", "reason"]].to_numpy().tolist() == [
        ["phone/cat/2.png", "web/cat/2.png", "scene", "not_same"]
    ]
    counts = catalogue.CURATE_METRICS.read(Path(catalogue.CURATE_METRICS.path))["pair_decisions"]
    zeros = dict.fromkeys(("not_sure", "conflicts", "contradictions", "unknown"), 0)
    assert counts == {"same": 1, "not_same": 1, "links_cut": 1, **zeros}
    assert metrics()["groups"] == 1


def test_reported_scenes_group_nothing() -> None:
    said, manifest = curated("report")
    assert partners(manifest) == []
    assert "these may be in different splits (curate.scenes)" in said
    assert (metrics()["groups"], metrics()["grouped"]) == (2, 0)


def test_ignored_scenes_are_not_looked_for() -> None:
    said, manifest = curated("ignore")
    assert partners(manifest) == []
    assert "scene" not in said
    assert metrics()["pairs"] == 0


def test_times_and_cameras_of_exif_propose_pairs() -> None:
    # All within a minute; place 2 by two cameras.
    for path, seed, step, camera, second in (
        ("phone/dog/1", 1, 2, "X1", 10),
        ("phone/dog/late", 1, 3, "X1", 40),
        ("phone/cat/2", 2, 2, "X1", 20),
        ("phone/cat/other", 2, 3, "Y2", 30),
    ):
        write(path, seed, step)
        exif = Image.Exif()
        exif[MODEL] = camera
        exif.get_ifd(DETAILS)[ORIGINAL] = f"2026:05:06 07:08:{second}"
        with Image.open(f"{path}.png") as image:
            image.save(f"{path}.png", exif=exif)
    _, manifest = curated(backbone=None)
    assert partners(manifest) == [["phone/dog/1.png", "phone/dog/late.png"]]


def test_without_vectors_or_times_none_is_found() -> None:
    _, manifest = curated(backbone=None)
    assert partners(manifest) == []


def test_small_pictures_cannot_tell() -> None:
    said, _ = curated(size=64)
    assert "8 pictures have a shorter side of less than 96 pixels once they fit ingest.size: too small" in said


def test_the_bytes_are_the_same_for_any_number_of_workers_and_in_a_second_run() -> None:
    curated()
    files = {path: path.read_bytes() for folder in ("data/curate", "reports/curate") for path in Path(folder).iterdir()}
    for workers in (2, 1):
        curated(workers=workers)
        assert {path: path.read_bytes() for path in files} == files


def test_other_instructions_give_the_same_groups() -> None:
    curated()
    manifest, vectors = Path(catalogue.CURATED.path), Path(catalogue.EMBED_SHARDS)
    files = {path: path.read_bytes() for path in (manifest, *vectors.iterdir())}
    for path in (*files, Path(catalogue.CURATE_SCENE_PAIRS.path), Path(catalogue.CURATE_GROUPS.path)):
        path.unlink()
    settings = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    subprocess.run(
        [sys.executable, "-c", "from tests.stages.curate.test_curate_scenes import curated; curated()"],
        env={**os.environ, **settings, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    assert manifest.read_bytes() == files[manifest]
    # On a processor that has more instructions, last digits of vectors are others.
    assert all(path.exists() for path in files)


def test_a_damaged_memory_of_pairs_is_made_anew() -> None:
    curated()
    memory = Path(catalogue.CURATE_SCENE_PAIRS.path)
    whole = memory.read_bytes()
    memory.write_bytes(b"ARROW1")
    _, manifest = curated()
    assert partners(manifest) == TWO
    assert memory.read_bytes() == whole


def test_vectors_of_fewer_images_are_refused() -> None:
    curated()
    write("web/dog/new", 9, 0)
    chosen = params(sources=SOURCES, **{"ingest.size": SIDE, "curate.scenes": "group", "embed.backbone": LITE})
    run_stage("ingest", chosen, Engine(1), "web")
    with pytest.raises(MissingInputError, match=r"^1 of 9 images have no vector yet: run `dvc repro embed`$"):
        run_stage("curate", chosen, Engine(1))
