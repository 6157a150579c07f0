"""pipeline preview: one sheet from a file, a folder or a class, without running the pipeline."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import catalogue, cli
from pipeline.images.pixels import Pixels
from pipeline.project.params_file import load_params
from pipeline.project.runner import run_stage
from pipeline.sheets.drawing import Sheet, Strip
from pipeline.store.shards import ShardReader
from pipeline.tools.preview import MAX_TRIED
from pipeline.workers.engine import Engine
from tests.examples import encoded, full_disk, picture, striped
from tests.running import Ended, write_params

TURN = "[{name: Rotate, limit: [-40, 40], p: 1.0}]"
NOISE = {"name": "GaussNoise", "p": 0.5}
# Seldom, so that alone at p = 1 it does what it hardly ever does in the list.
SELDOM = [{"name": "HorizontalFlip", "p": 0.0}, {"name": "VerticalFlip", "p": 0.0}]

Preview = Callable[..., Ended]


@pytest.fixture
def preview(workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Preview:
    """The command, in a folder with tiny sources."""

    def command(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["pipeline", "preview", *arguments])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        captured = capsys.readouterr()
        return Ended(code or 0, captured.out, captured.err)

    return command


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
    assert preview("--class", "c", "--images", "4", "--copies", "2").code == 0
    shown = strips(drawn[0])
    assert [strip.role for strip in shown] == ["raw", "raw", "production", "production"]
    assert [strip.caption.split("/")[1] for strip in shown] == ["c"] * 4
    assert {len(strip.cells) for strip in shown} == {3}


def test_once_there_is_a_split_a_class_is_shown_by_images_of_train_alone(preview: Preview, drawn: list[Sheet]) -> None:
    run_to("split")
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


PROBLEMS = [
    pytest.param([], 3, "nothing to show: name an image, a folder, or a class with --class", id="nothing"),
    pytest.param(["images/web", "--class", "a"], 3, "nothing to show: name", id="both"),
    pytest.param(["gone.jpg"], 4, "gone.jpg is missing: name an image, a folder of images, or", id="missing"),
    pytest.param(
        ["params.yaml"],
        5,
        "params.yaml cannot be shown: not_an_image: its content is in none of the formats",
        id="text",
    ),
    pytest.param(
        ["cut.jpg"], 5, "cut.jpg cannot be shown: truncated: 76.6% of its rows are missing, the lim", id="cut"
    ),
    pytest.param(["bare"], 5, "bare has no readable image: it has no files", id="empty folder"),
    pytest.param(["texts"], 5, "texts has no readable image: of 1 files, 1 were tried: a.txt (empty)", id="no image"),
    pytest.param(["/dev/null"], 5, "/dev/null is neither a file nor a folder", id="device"),
    pytest.param(["--class", "a"], 4, "manifest.arrow is missing: run `dvc repro ingest`", id="no ingest"),
    pytest.param(
        ["images/web", "--transforms", "[{name: Affin}]"],
        3,
        "--transforms names transforms that cannot be used:\n  "
        "augment.transforms.0.name: albumentations has no transform 'Affin', did you mean Affine?",
        id="name",
    ),
    pytest.param(
        ["images/web", "--transforms", "[{nam: Affine}]"],
        3,
        "--transforms breaks 1 rule:\n  augment.transforms.0.name: is missing",
        id="key",
    ),
    pytest.param(["images/web", "--transforms", "[{"], 3, "--transforms is not valid YAML", id="yaml"),
    pytest.param(
        ["images/web", "--transforms", "5"], 3, "--transforms breaks 1 rule:\n  augment.transforms: ", id="no list"
    ),
    pytest.param(
        ["images/web", "--transforms", "[{name: RandomCrop, height: 4, width: 4, p: 1.0}]"],
        3,
        "RandomCrop turns (16, 16, 3) uint8 pixels into (4, 4, 3)",
        id="crop",
    ),
    pytest.param(
        ["images/web", "--preset", "foto"],
        3,
        "--preset breaks 1 rule:\n  augment.transforms.0.preset: input should be 'light'",
        id="preset",
    ),
    pytest.param(["images/web", "--preset", "light", "--transforms", TURN], 3, "both given: use one", id="two lists"),
    pytest.param(
        ["images/web", "--output", "a.jpg"], 3, "--output a.jpg: the contact sheet is a PNG file", id="suffix"
    ),
    pytest.param(
        ["images/web", "--output", "folder.png"], 3, "--output folder.png is a folder: name a file in it", id="folder"
    ),
    pytest.param(
        ["photo.png", "--output", "./photo.png"], 3, "photo.png is the image itself: name another file", id="itself"
    ),
    pytest.param(["images/web", "--output", "images/web/a/x.png"], 3, "is inside the source web", id="source"),
    pytest.param(["images/web", "--images", "0"], 2, "", id="no images"),
    pytest.param(["images/web", "--copies", "99"], 2, "", id="many copies"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), PROBLEMS)
def test_what_cannot_be_shown_is_refused_in_words(
    arguments: list[str], code: int, message: str, preview: Preview, workspace: Path
) -> None:
    photo = encoded(picture(1, 64, 64), "JPEG")
    (workspace / "photo.png").write_bytes(photo)
    (workspace / "cut.jpg").write_bytes(photo[: len(photo) // 2])
    for name in ("bare", "texts", "folder.png"):
        (workspace / name).mkdir()
    (workspace / "texts/a.txt").touch()
    before = sorted(workspace.rglob("*"))
    ended = preview(*arguments)
    assert ended.code == code
    assert message in ended.err
    assert ended.out == ""
    assert sorted(workspace.rglob("*")) == before
    assert (workspace / "photo.png").read_bytes() == photo


def test_a_misspelt_class_names_the_nearest(preview: Preview, workspace: Path) -> None:
    (workspace / "images/web/a").rename(workspace / "images/web/apple")
    run_stage("ingest", load_params(), Engine(1), "web")
    assert preview("--class", "aple").err == (
        "error: --class aple: the last ingest has no such class, did you mean apple?\n"
    )
    ended = preview("--class", "zebra")
    assert ended.code == 3
    assert "no such class; it has apple, b, c\n" in ended.err


def test_params_without_transforms_need_some_from_the_command_line(preview: Preview, workspace: Path) -> None:
    write_params(workspace, **{"augment.transforms": [], "augment.copies.count": 0})
    ended = preview("images/web")
    assert ended.code == 3
    assert ended.err == "error: params.yaml has no transforms: name some with --transforms or --preset\n"
    assert preview("images/web", "--transforms", TURN).code == 0


def test_a_file_of_too_many_bytes_is_not_read(preview: Preview, workspace: Path) -> None:
    write_params(workspace, **{"ingest.max_bytes": 100})
    (workspace / "photo.png").write_bytes(encoded(picture(1)))
    ended = preview("photo.png")
    assert ended.code == 5
    assert "too_many_bytes: " in ended.err
    assert "the limit ingest.max_bytes is 100" in ended.err


def test_a_folder_without_images_is_given_up(preview: Preview, workspace: Path) -> None:
    folder = workspace / "texts"
    folder.mkdir()
    for number in range(MAX_TRIED + 20):
        (folder / f"{number}.txt").write_text("text")
    assert f"of {MAX_TRIED + 20} files, {MAX_TRIED} were tried: " in preview("texts").err


def test_a_full_disk_leaves_the_last_sheet(preview: Preview, workspace: Path) -> None:
    preview("images/web")
    before = (workspace / "preview.png").read_bytes()
    with full_disk(room=1000):
        ended = preview("images/web", "--copies", "2")
    assert ended.code == 6
    assert (workspace / "preview.png").read_bytes() == before
    assert [path.name for path in workspace.iterdir() if "partial" in path.name] == []


def test_the_sheet_may_lie_in_a_new_folder(preview: Preview, workspace: Path) -> None:
    assert preview("images/web", "--output", "sheets/one/a.PNG").out == "sheets/one/a.PNG\n"
    Image.open(workspace / "sheets/one/a.PNG").verify()
