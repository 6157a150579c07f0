"""pipeline preview: one sheet from a file, a folder or a class, without running the pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import catalogue
from pipeline.images.pixels import Pixels
from pipeline.project.params_file import load_params
from pipeline.project.runner import run_stage
from pipeline.sheets.drawing import Sheet, Strip
from pipeline.store.shards import ShardReader
from pipeline.workers.engine import Engine
from tests.examples import encoded, picture, striped
from tests.running import Ended, write_params
from tests.tools.previewing import Preview

NOISE = {"name": "GaussNoise", "p": 0.5}
# Seldom, so that alone at p = 1 it does what it hardly ever does in the list.
SELDOM = [{"name": "HorizontalFlip", "p": 0.0}, {"name": "VerticalFlip", "p": 0.0}]


def strips(sheet: Sheet) -> list[Strip]:
    return [strip for section in sheet.sections for strip in section.strips]


def pixels(strip: Strip) -> list[Pixels]:
    return [cell.pixels for cell in strip.cells]


def run_to(stage: str) -> None:
    """The stages up to this one, in the current folder."""
    params = load_params()
    for name, key in [
        ("ingest", "web"),
        ("ingest", "phone"),
        *((name, None) for name in ("curate", "split", "balance", "augment")),
    ]:
        run_stage(name, params, Engine(1), key)
        if name == stage and key != "web":
            return


def test_a_file_is_shown_beside_its_variants(preview: Preview, workspace: Path, drawn: list[Sheet]) -> None:
    (workspace / "photo.jpg").write_bytes(encoded(picture(1, 30, 20), "JPEG"))
    ended = preview("photo.jpg")
    assert ended == Ended(0, "preview.png\n", "")
    with Image.open(workspace / "preview.png") as image:
        assert image.format == "PNG"
    (strip,) = strips(drawn[0])
    assert [cell.captions for cell in strip.cells] == [("original",), *((f"variant {copy}",) for copy in range(1, 6))]
    assert {cell.pixels.shape for cell in strip.cells} == {(16, 16, 3)}  # as ingest makes it
    assert len({cell.pixels.tobytes() for cell in strip.cells}) == 6
    assert drawn[0].title == "Preview of photo.jpg"
    assert drawn[0].lines[1].startswith("Affine ")  # what params.yaml has


def test_the_same_command_gives_the_same_bytes(preview: Preview, workspace: Path) -> None:
    for name in ("a.png", "b.png"):
        preview("images/web", "--output", name)
    assert (workspace / "a.png").read_bytes() == (workspace / "b.png").read_bytes()


@pytest.mark.parametrize("mode", ["materialise", "online"])
@pytest.mark.parametrize("encoding", [{"name": "png"}, {"name": "jpeg", "quality": 60}])
def test_the_variants_are_those_of_training(
    mode: str, encoding: dict[str, Any], preview: Preview, workspace: Path, drawn: list[Sheet]
) -> None:
    from pipeline.data.dataset import RowDataset

    chosen = {"augment.mode": mode, "ingest.encoding": encoding, "augment.copies.count": 3}
    write_params(workspace, **chosen)
    run_to("augment")
    drawn.clear()  # of what the stages drew
    rows = catalogue.AUGMENTED.read(Path(catalogue.AUGMENTED.path))
    reader = ShardReader(Path("data/ingest"), Path("data/augment/shards"))
    variants = None
    if mode == "online":
        from pipeline.transforms.online import online_variants

        augment = load_params().augment
        variants = online_variants(augment.transforms, augment.seed)
    seen = RowDataset(rows, reader, ("a", "b", "c"), 16, variants)
    assert preview("--class", "b", "--copies", "3").code == 0
    image = strips(drawn[0])[0].caption.split("  ")[1]
    assert preview(f"images/{image}", "--copies", "3").code == 0
    for strip in (*strips(drawn[0]), *strips(drawn[1])):
        places = np.flatnonzero(rows["id"] == strip.caption.split("  ")[1])[:4]
        np.testing.assert_array_equal(pixels(strip), [seen.pixels(int(place)) for place in places])
    assert strips(drawn[1])[0].role == strips(drawn[0])[0].role


def test_a_class_is_shown_after_an_ingest(preview: Preview, drawn: list[Sheet]) -> None:
    run_to("ingest")
    drawn.clear()  # of what the stages drew
    assert preview("--class", "c", "--images", "4", "--copies", "2").code == 0
    shown = strips(drawn[0])
    assert [strip.role for strip in shown] == ["raw", "raw", "production", "production"]
    assert [strip.caption.split("/")[1] for strip in shown] == ["c"] * 4
    assert {len(strip.cells) for strip in shown} == {3}


def test_once_there_is_a_split_a_class_is_shown_by_images_of_train_alone(preview: Preview, drawn: list[Sheet]) -> None:
    run_to("split")
    drawn.clear()  # of what the stages drew
    split = catalogue.SPLIT.read(Path(catalogue.SPLIT.path))
    train = set(split["id"][split["split"] == "train"])
    assert preview("--class", "c", "--images", "20", "--copies", "1").code == 0
    shown = {strip.caption.split("  ")[1] for strip in strips(drawn[0])}
    assert shown == {image for image in train if "/c/" in image}
    assert len(shown) < 20


def test_a_class_without_images_in_train_is_an_error(preview: Preview, workspace: Path) -> None:
    run_to("split")
    split = catalogue.SPLIT.read(Path(catalogue.SPLIT.path))
    catalogue.SPLIT.write(split[split["label"] != "c"].reset_index(drop=True), Path(catalogue.SPLIT.path))
    ended = preview("--class", "c")
    assert (ended.code, ended.out) == (5, "")
    assert (
        ended.err
        == "error: --class c: data/split/manifest.arrow has none of its images in train; run `dvc repro split`\n"
    )


def test_an_ingest_of_another_size_is_remarked(preview: Preview, workspace: Path, drawn: list[Sheet]) -> None:
    run_to("ingest")
    drawn.clear()  # of what the stages drew
    write_params(workspace, **{"ingest.size": 32})
    ended = preview("--class", "a")
    assert ended.err == ("note: the images are from the last ingest, 16 pixels per side; ingest.size is 32\n")
    assert drawn[0].lines[0].startswith("16 pixels per side")


def test_sources_that_are_not_ingested_yet_are_left_out(preview: Preview, drawn: list[Sheet]) -> None:
    run_stage("ingest", load_params(), Engine(1), "phone")
    assert preview("--class", "a").code == 0
    assert {strip.role for strip in strips(drawn[0])} == {"production"}


def test_a_folder_is_shown_class_by_class(preview: Preview, drawn: list[Sheet]) -> None:
    assert preview("images/phone", "--images", "6").code == 0
    assert [section.heading for section in drawn[0].sections] == ["a", "b", "c"]
    assert [len(section.strips) for section in drawn[0].sections] == [2, 2, 2]
    assert {strip.role for strip in strips(drawn[0])} == {"production"}


def test_once_there_is_a_split_a_sources_folder_shows_images_of_train_alone(
    preview: Preview, workspace: Path, drawn: list[Sheet]
) -> None:
    run_to("split")
    split = catalogue.SPLIT.read(Path(catalogue.SPLIT.path))
    train = set(split["id"][split["split"] == "train"])
    for folder, inside in (("images/phone", "phone/"), ("images/phone/c", "phone/c/")):
        ended = preview(folder, "--images", "20", "--copies", "1")
        assert (ended.code, ended.err) == (0, "")
        shown = {strip.caption.split("  ")[1] for strip in strips(drawn[-1])}
        assert shown <= {image for image in train if image.startswith(inside)}
        assert len(shown) == min(20, len([image for image in train if image.startswith(inside)]))


def test_a_sources_folder_without_images_of_train_is_shown_with_a_remark(preview: Preview, drawn: list[Sheet]) -> None:
    run_to("split")
    drawn.clear()  # of what the stages drew
    split = catalogue.SPLIT.read(Path(catalogue.SPLIT.path))
    others = split[~split["id"].str.startswith("phone/c/")].reset_index(drop=True)
    catalogue.SPLIT.write(others, Path(catalogue.SPLIT.path))
    ended = preview("images/phone/c")
    assert (ended.code, len(strips(drawn[0]))) == (0, 4)
    assert ended.err == (
        "note: images/phone/c has no training images: choosing transforms by these images is choosing by dev or test\n"
    )


def test_a_file_is_called_by_its_place_where_paths_of_the_source_start(
    preview: Preview, workspace: Path, drawn: list[Sheet]
) -> None:
    sources = {"web": {"role": "raw", "path": "images/web"}, "phone": {"role": "production", "path": "images"}}
    write_params(workspace, sources={**sources, "phone": {**sources["phone"], "inside": "phone"}})
    file = sorted((workspace / "images/phone/a").iterdir())[0]
    assert preview(str(file)).code == 0
    assert strips(drawn[0])[0].caption == f"production  phone/a/{file.name}"


def test_a_folder_of_loose_files_shows_its_images_and_names_the_others(
    preview: Preview, workspace: Path, drawn: list[Sheet]
) -> None:
    folder = workspace / "loose"
    folder.mkdir()
    for name in ("one.png", "two.png"):
        (folder / name).write_bytes(encoded(picture(len(name))))
    (folder / "notes.txt").write_text("no image")
    (folder / "empty.png").touch()
    ended = preview("loose")
    assert ended.code == 0
    assert {strip.caption for strip in strips(drawn[0])} == {"one.png", "two.png"}
    assert drawn[0].sections[0].heading == "loose"
    assert ended.err.startswith("note: loose: not images, or unreadable: ")
    assert "notes.txt (not_an_image)" in ended.err
    assert "empty.png (empty)" in ended.err


def test_the_sheet_of_the_last_time_is_no_image_of_its_folder(
    preview: Preview, workspace: Path, drawn: list[Sheet]
) -> None:
    folder = workspace / "loose"
    folder.mkdir()
    (folder / "one.png").write_bytes(encoded(picture(1)))
    for _ in range(2):
        assert preview("loose", "--output", "loose/sheet.png").code == 0
    assert [strip.caption for strip in strips(drawn[1])] == ["one.png"]


def test_another_list_of_transforms_is_used(preview: Preview, workspace: Path, drawn: list[Sheet]) -> None:
    (workspace / "photo.png").write_bytes(encoded(striped(1, seed=1)))
    assert preview("photo.png", "--transforms", "[{name: HorizontalFlip, p: 1.0}]", "--copies", "1").code == 0
    original, variant = pixels(strips(drawn[0])[0])
    np.testing.assert_array_equal(variant, original[:, ::-1])
    assert drawn[0].lines[1:] == ["HorizontalFlip p=1.0"]


def test_a_preset_is_used(preview: Preview, drawn: list[Sheet]) -> None:
    assert preview("images/web", "--preset", "light").code == 0
    assert [line.split()[0] for line in drawn[0].lines[1:]] == ["Affine", "RandomBrightnessContrast"]


def test_each_transform_alone_acts_at_p_1(preview: Preview, workspace: Path, drawn: list[Sheet]) -> None:
    write_params(workspace, **{"augment.transforms": SELDOM})
    (workspace / "photo.png").write_bytes(encoded(picture(1)))
    assert preview("photo.png", "--copies", "1", "--each").code == 0
    headings = [section.heading for section in drawn[0].sections]
    assert headings == ["All transforms, in order", "HorizontalFlip p=1.0", "VerticalFlip p=1.0"]
    together, flipped, upside_down = (pixels(strip) for strip in strips(drawn[0]))
    np.testing.assert_array_equal(together[1], together[0])
    np.testing.assert_array_equal(flipped[1], together[0][:, ::-1])
    np.testing.assert_array_equal(upside_down[1], together[0][::-1])


def test_match_production_is_said_to_be_missing(preview: Preview, workspace: Path, drawn: list[Sheet]) -> None:
    write_params(workspace, **{"augment.match_production": True})
    preview("images/web")
    assert drawn[0].lines[1] == "Without match_production, which is fitted to a whole training set."


def test_the_sheet_may_lie_in_a_new_folder(preview: Preview, workspace: Path) -> None:
    assert preview("images/web", "--output", "sheets/one/a.PNG").out == "sheets/one/a.PNG\n"
    Image.open(workspace / "sheets/one/a.PNG").verify()
