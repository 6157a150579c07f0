"""What curate says, counts and shows of facts that give classes away."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import catalogue
from pipeline.errors import ParamsError
from pipeline.images.pixels import Pixels
from pipeline.manifest import CURATED
from pipeline.metrics.confounding import measure_confounding
from pipeline.project.runner import run_stage
from pipeline.sheets.drawing import Sheet
from pipeline.stages.curate import confounders
from pipeline.stages.curate.confounders import (
    check_fact_names,
    confounding_metrics,
    confounding_notes,
    confounding_table,
)
from pipeline.workers.engine import Engine
from tests.examples import encoded, params, with_columns


def look(shard: str, row: int) -> Pixels:
    return np.full((8, 8, 3), row % 256, np.uint8)


def rows_of(tied: bool, count: int = 120) -> pd.DataFrame:
    """Cats and dogs; cats of camera a and dogs of b, if tied."""
    number = np.arange(count)
    label = np.where(number % 2 == 0, "cat", "dog")
    camera = np.where(label == "cat", "a", "b") if tied else np.where(number % 3 == 0, "a", "b")
    frame = pd.DataFrame({"id": [f"web/{label[one]}/{one:03}.png" for one in number], "label": label, "row": number})
    frame = frame.assign(group=frame["id"], source="web", role="raw", sha256=frame["id"], width=40, height=30)
    return with_columns(frame, CURATED).assign(meta_camera=camera)


def test_a_column_that_gives_classes_away_is_told_and_counted() -> None:
    strengths = measure_confounding(rows_of(True))
    assert [*confounding_notes(strengths, "sheet.png")] == [
        "confounding: the column camera alone tells the class of 100% of images (classes counted alike; by chance "
        "50%). A model can learn it instead of the class: see sheet.png"
    ]
    assert confounding_metrics(strengths) == {"facts": 1, "named": 1, "share": {"camera": 1.0}}
    (row,) = confounding_table(strengths).to_dict("records")
    assert (row["fact"], row["of"], row["accuracy"], row["confounding"], row["images"]) == (
        "camera",
        "all",
        1.0,
        "yes",
        120,
    )
    assert row["low"] < row["share"] == 1.0


def test_the_sheet_shows_the_classes_of_each_value(drawn: list[Sheet]) -> None:
    for rows in (rows_of(True), rows_of(False), rows_of(True, 10)):
        confounders.confounding_sheet(rows, measure_confounding(rows), look)
    named, usual, few = drawn
    (section,) = named.sections
    assert section.heading.startswith("The column camera: tells the class of 100% of images")
    assert [strip.caption for strip in section.strips] == ["a: 60 images: cat 100%", "b: 60 images: dog 100%"]
    assert [cell.captions[1] for cell in section.strips[0].cells] == ["cat"] * 8
    assert usual.sections == few.sections == []
    assert usual.lines[0].startswith(
        "No fact gives the classes away. The strongest is the column camera, with a share of "
    )
    assert few.lines[0].startswith("There are too few classes or images to tell")


def test_pictures_of_a_value_show_rare_classes_too(drawn: list[Sheet]) -> None:
    rows = rows_of(True)
    rows.loc[[1, 3], "meta_camera"] = "a"
    confounders.confounding_sheet(rows, measure_confounding(rows), look)
    cells = drawn[0].sections[0].strips[0].cells
    assert [cell.captions[1] for cell in cells] == ["cat", "dog", "cat", "dog", "cat", "cat", "cat", "cat"]


def test_facts_that_follow_from_the_class_are_left_out() -> None:
    rows = rows_of(True)
    assert measure_confounding(rows, check_fact_names(["camera"], rows)) == []
    assert check_fact_names(["brightness", "meta_camera"], rows) == {"brightness", "meta_camera"}
    with pytest.raises(
        ParamsError, match=r"facts that do not exist: spcies, lens; the facts are source, role, .*camera$"
    ):
        check_fact_names(["spcies", "lens", "camera"], rows)


def test_curate_tells_of_sources_of_one_class_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(1)
    for source, label in (("web", "cat"), ("phone", "dog")):
        for number in range(12):
            file = Path(source, label, f"{number}.png")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encoded(draw.integers(0, 256, (40, 40, 3), np.uint8)))
    sources = {"web": {"role": "raw", "path": "web"}, "phone": {"role": "production", "path": "phone"}}
    chosen = params(sources=sources)
    for name in sources:
        run_stage("ingest", chosen, Engine(1), name)
    run_stage("embed", chosen, Engine(1))
    said = run_stage("curate", chosen, Engine(1))
    assert "confounding: the source alone tells the class of 100% of images" in said
    metrics = catalogue.CURATE_METRICS.read(Path(catalogue.CURATE_METRICS.path))["confounding"]
    assert metrics["named"] >= 1
    assert metrics["share"]["source"] == 1.0
    table = catalogue.CURATE_CONFOUNDING.read(Path(catalogue.CURATE_CONFOUNDING.path))
    assert table["fact"].tolist()[:2] == ["source", "role"]
    assert Path(catalogue.CURATE_CONFOUNDING_SHEET.path).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ParamsError, match=r"curate\.not_confounding names facts that do not exist: sorce"):
        run_stage("curate", params(sources=sources, **{"curate.not_confounding": ["sorce"]}), Engine(1))
