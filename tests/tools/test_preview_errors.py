"""pipeline preview: what cannot be shown is refused in words, and nothing is written."""

from pathlib import Path

import pytest

from pipeline.project.params_file import load_params
from pipeline.project.runner import run_stage
from pipeline.tools.preview import MAX_TRIED
from pipeline.workers.engine import Engine
from tests.examples import encoded, full_disk, picture
from tests.running import write_params
from tests.tools.previewing import TURN, Preview

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
