"""`pipeline map`: a picture and a table that tell nothing of test, whatever classes there are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import catalogue
from pipeline.store.spreadsheets import read_spreadsheet
from pipeline.tools.inline_svg import svg_of
from pipeline.tools.map.drawing import COLOURS, PANELS, panel_of
from pipeline.tools.map.points import HELD_BACK, in_parts, map_points
from pipeline.workers.engine import Engine
from tests.pages import HOSTILE
from tests.running import pipeline, run_in, write_params


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the stages up to split ran, without embeddings."""
    return run_in(tmp_path_factory.mktemp("map"), "ingest", "embed", "curate", "split")


@pytest.fixture(autouse=True)
def _inside(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared)


def made_up(classes: int, images: int) -> pd.DataFrame:
    """Points of so many classes, each class in a spot of its own."""
    generator = np.random.default_rng(1)
    number = np.arange(images) % classes
    spots = generator.random((classes, 2))
    x, y = (spots[number] + generator.normal(0, 0.01, (images, 2))).clip(0, 1).T
    names = [HOSTILE[each % len(HOSTILE)] + str(each) for each in number]
    frame = pd.DataFrame({"id": np.arange(images).astype(str), "x": x, "y": y, "label": names, "predicted": names})
    return frame.assign(source="web", role="raw", split=np.where(np.arange(images) % 5, "train", "dev"))


def test_the_picture_and_the_table_are_written_and_written_again_alike(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = pipeline(capsys, monkeypatch, "map")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("map.png, map.csv: ")
    assert "by their small pictures" in ended.out
    table = read_spreadsheet(Path("map.csv").read_bytes(), "map.csv", "id").columns
    assert len(table["id"]) == len(catalogue.CURATED.read(Path(catalogue.CURATED.path)))
    with Image.open("map.png") as image:
        image.load()
        assert np.asarray(image.convert("L")).std() > 5
    before = [Path(name).read_bytes() for name in ("map.png", "map.csv")]
    assert pipeline(capsys, monkeypatch, "map").code == 0
    assert [Path(name).read_bytes() for name in ("map.png", "map.csv")] == before


def test_numbers_are_shown_by_the_part_of_the_range_and_none_is_called_an_error() -> None:
    points = made_up(1, 100).assign(label=[str(number / 4) for number in range(99)] + [""], predicted="1.5")
    shown = in_parts(points)
    assert shown["label"].nunique() == 6
    assert shown["label"].iloc[[0, 98, 99]].tolist() == ["1 of 5: below 4.75", "5 of 5: 19.75 or more", ""]
    assert panel_of(shown, "errors") is None
    assert panel_of(shown, "label") is not None


def test_places_are_kept_for_the_next_map_and_made_anew_for_other_images(monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = map_points(Engine(1))
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.tools.map.layout._laid_out", lambda _: pytest.fail("laid out again"))
        again, _ = map_points(Engine(1))
    pd.testing.assert_frame_equal(first, again)
    kept = catalogue.MAP_PLACES.read(Path(catalogue.MAP_PLACES.path))
    catalogue.MAP_PLACES.write(kept.assign(x=np.float32(0), rule="of other images"), Path("other.arrow"))
    Path("other.arrow").replace(catalogue.MAP_PLACES.path)
    pd.testing.assert_frame_equal(first, map_points(Engine(1))[0])
    Path(catalogue.MAP_PLACES.path).write_bytes(b"damaged")
    pd.testing.assert_frame_equal(first, map_points(Engine(1))[0])


def test_of_test_nothing_is_told_but_where_its_images_lie() -> None:
    points, _ = map_points(Engine(1))
    test = set(catalogue.SPLIT_TEST.read(Path(catalogue.SPLIT_TEST.path))["id"])
    assert test
    held = points[points["id"].isin(test)]
    assert set(held["split"]) == {HELD_BACK}
    assert set(held["label"]) == set(held["predicted"]) == {""}
    assert {"train", "train_dev", "dev"} <= set(points["split"])
    assert (points.loc[points["split"] == "dev", "label"] != "").all()


@pytest.mark.parametrize("classes", [1, 2, 10, 11, 40, 1000])
def test_any_number_of_classes_has_a_legend_that_fits(classes: int) -> None:
    figure = panel_of(made_up(classes, 1000), "label")
    assert figure is not None
    (legend,) = figure.legends
    entries = [text.get_text() for text in legend.get_texts()]
    assert len(entries) == min(classes, len(COLOURS))
    assert entries[0].startswith(f"{classes - 9} other label") == (classes > 10)
    assert sum(int(entry.rpartition("(")[2].rstrip(")").replace(",", "")) for entry in entries) == 1000


def test_twenty_thousand_points_make_a_small_drawing() -> None:
    figure = panel_of(made_up(12, 20_000), "label")
    assert figure is not None
    drawing = str(svg_of(figure, "map", "Map"))
    assert len(drawing) < 600_000
    assert drawing.count("<image") <= 12
    assert "data:image/png;base64," in drawing
    assert "<script" not in drawing


def test_without_predictions_there_is_no_panel_of_errors() -> None:
    points = made_up(3, 50)
    assert all(panel_of(points, panel) is not None for panel in PANELS)
    assert panel_of(points.assign(predicted=""), "errors") is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--output", "map.jpg"], "--output map.jpg must end in .png", id="another format"),
        pytest.param(["--output", "nix/\0.png"], "", id="a name that no disk takes"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = pipeline(capsys, monkeypatch, "map", *arguments)
    assert ended.code != 0
    assert message in ended.err


def test_before_split_the_message_says_what_to_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    ended = pipeline(capsys, monkeypatch, "map")
    assert ended.code == 4
    assert "dvc repro" in ended.err
