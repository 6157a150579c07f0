"""`pipeline outliers`: what looks like few others of its class is shown, and never an image of test."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import catalogue
from pipeline.data.vectors import unit
from pipeline.store.spreadsheets import read_spreadsheet
from pipeline.tools.outliers import COLUMNS, MIN_IMAGES, find_outliers
from tests.running import pipeline, run_stages, write_params, write_tiny_sources


def images(each: int = 60, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Two classes around two corners; their rows and vectors."""
    generator = np.random.default_rng(seed)
    labels = np.arange(2 * each) % 2
    vectors = np.eye(16)[labels] + generator.normal(0, 0.08, (2 * each, 16))
    names = [f"web/{number:03}.png" for number in range(2 * each)]
    frame = pd.DataFrame({"id": names, "label": np.array(["apple", "fig"])[labels], "group": names})
    return frame.assign(split="train", source="web"), unit(vectors.astype(np.float32))


def test_what_was_planted_stands_first_with_the_class_that_it_is_like() -> None:
    rows, vectors = images()
    vectors[6] = unit(np.eye(16, dtype=np.float32)[[9]])[0]
    vectors[8] = vectors[9]
    found = find_outliers(rows, vectors)
    assert list(found.table) == COLUMNS
    first = found.table.iloc[:2].set_index("id")
    assert set(first.index) == {"web/006.png", "web/008.png"}
    assert first.loc["web/008.png", "nearest_class"] == "fig"
    assert found.table["ranges_beyond"].is_monotonic_decreasing
    assert (found.table["distance"] > found.table["usual"]).all()
    assert found.images == 120


def test_usual_images_are_seldom_listed() -> None:
    shares = [len(find_outliers(*images(seed=seed)).table) / 120 for seed in range(20)]
    assert np.mean(shares) < 0.03


def test_copies_of_an_outlier_do_not_hide_it_if_they_are_of_its_group() -> None:
    rows, vectors = images()
    odd = [0, 2, 4, 6]
    vectors[odd] = unit(np.eye(16, dtype=np.float32)[[9]])[0]
    one_group = rows.assign(group=rows["group"].where(~rows.index.isin(odd), "burst"))
    assert set(find_outliers(one_group, vectors).table["id"].iloc[:4]) == set(rows["id"].iloc[odd])


def test_of_a_small_class_nothing_is_said() -> None:
    rows, vectors = images(MIN_IMAGES - 1)
    found = find_outliers(rows, vectors)
    assert found.table.empty
    assert list(found.small_classes) == ["apple", "fig"]
    assert find_outliers(rows.iloc[:0], vectors[:0]).table.empty


def test_equal_images_have_no_outliers() -> None:
    rows, vectors = images()
    assert find_outliers(rows, np.repeat(vectors[:1], len(rows), axis=0)).table.empty


def test_the_order_of_rows_changes_nothing() -> None:
    rows, vectors = images()
    order = np.random.default_rng(1).permutation(len(rows))
    shuffled = find_outliers(rows.iloc[order].reset_index(drop=True), vectors[order])
    pd.testing.assert_frame_equal(find_outliers(rows, vectors).table, shuffled.table)


def test_the_sheet_and_the_table_are_of_no_image_of_test(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_sources(tmp_path)
    write_params(tmp_path)
    run_stages("ingest", "embed", "curate", "split")
    ended = pipeline(capsys, monkeypatch, "outliers")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("outliers.png, outliers.csv: ")
    table = read_spreadsheet(Path("outliers.csv").read_bytes(), "outliers.csv", "id").columns
    assert list(table) == COLUMNS
    test = catalogue.SPLIT_TEST.read(Path(catalogue.SPLIT_TEST.path))["id"]
    assert not set(table["id"]) & set(test)
    with Image.open("outliers.png") as image:
        image.verify()
    refused = pipeline(capsys, monkeypatch, "outliers", "--output", "outliers.txt")
    assert refused.code != 0
    assert "--output outliers.txt must end in .png" in refused.err
