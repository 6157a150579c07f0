"""`pipeline init` on sources of all kinds: splits, folders further down, tables, exports, archives, other formats."""

import io
import json
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from pipeline.images.decoding import heic_installed
from pipeline.project import image_facts
from pipeline.project.label_files import separator_of
from pipeline.sources.files import Folder
from tests.examples import encoded, picture, write_source
from tests.project.new_projects import BOTH, Init, params_of
from tests.project.test_init import names_in


def test_parts_of_a_split_are_joined_and_said(init: Init, tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        write_source(tmp_path / "given" / part, {"cat": 5, "dog": 4}, seed=len(part))
    ended = init("shop", "--production", "given")
    assert ended.code == 0, ended.err
    assert "are parts of a split" in ended.out
    assert "cat 15, dog 12" in ended.out
    assert params_of(tmp_path / "shop").sources["given"].layout == "split/class"


def test_class_folders_further_down_are_found(init: Init, tmp_path: Path) -> None:
    write_source(tmp_path / "unpacked/export/images", {"cat": 8, "dog": 8})
    ended = init("shop", "--production", "unpacked")
    assert ended.code == 0, ended.err
    assert params_of(tmp_path / "shop").sources["unpacked"].inside == "export/images"


def test_what_looks_odd_is_said(init: Init, tmp_path: Path) -> None:
    for name in ("Cat", "wolf"):
        write_source(tmp_path / "web", {name: 4}, seed=9)
    write_source(tmp_path / "phone", {unicodedata.normalize("NFD", "Kätzchen"): 4, "fox": 4}, seed=9)
    (tmp_path / "phone/cat/@eaDir").mkdir()
    (tmp_path / "phone/cat/@eaDir/thumb.jpg").write_bytes(b"x")
    (tmp_path / "web/cat/broken.jpg").write_bytes(b"no image")
    (tmp_path / "web/cat/notes.txt").write_text("hello")
    ended = init("shop", *BOTH)
    assert "1 files of operating systems and network drives" in ended.out
    assert "1 of the inspected images cannot be opened" in ended.out
    assert "1 file does not have the ending of an image: cat/notes.txt" in ended.out
    assert "only raw images have the classes Cat, wolf" in ended.out
    assert "labels that may mean the same class" in ended.out
    assert params_of(tmp_path / "shop").split.one_sided_classes == "train"


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({}, "has no images"),
        ({"cat": 20}, "there is only one class, cat"),
        ({f"image {number}": 1 for number in range(40)}, "Is each image in a folder of its own?"),
        ({"cat": 20, "dog": 2}, "1 of 2 classes have fewer than 3 production images"),
    ],
)
def test_images_that_are_no_project_get_one_clear_message(
    init: Init, tmp_path: Path, classes: dict[str, int], message: str
) -> None:
    (tmp_path / "own").mkdir()
    write_source(tmp_path / "own", classes)
    ended = init("shop", "--production", "own")
    assert ended.code in (4, 5)
    assert message in ended.err
    assert names_in(tmp_path) == {"web", "phone", "own"}


def test_images_without_labels_need_some(init: Init, tmp_path: Path) -> None:
    (tmp_path / "loose").mkdir()
    for number in range(5):
        (tmp_path / f"loose/{number}.png").write_bytes(encoded(picture(number)))
    ended = init("shop", "--raw", "web", "--production", "loose")
    assert "no production image has a label" in ended.err
    assert init("shop", "--raw", "loose", "--production", "phone").code == 5
    ended = init("shop", *BOTH, "--production", "loose")
    assert ended.code == 0, ended.err
    assert params_of(tmp_path / "shop").sources["loose"].labels.name == "none"
    assert "5 images have no label; the model can learn from them: see train.unlabelled" in ended.err + ended.out


def test_labels_from_a_table(init: Init, tmp_path: Path) -> None:
    paths = [path.relative_to(tmp_path / "phone") for path in sorted((tmp_path / "phone").rglob("*.png"))]
    rows = [f"{path},{path.parent},p{number}" for number, path in enumerate(paths)]
    (tmp_path / "phone/labels.csv").write_text("\n".join(["Image,finding,Patient", *rows]))
    ended = init("shop", "--production", "phone", "--labels", "labels.csv")
    assert ended.code == 3
    assert "no column fits label. Its columns are Image, finding, Patient" in ended.err
    typed = str(tmp_path / "phone/labels.csv")
    ended = init("shop", "--production", "phone", "--labels", typed, "--columns", "label=finding")
    assert ended.code == 0, ended.err
    assert "28 images in 2 classes" in ended.out
    labels: Any = params_of(tmp_path / "shop").sources["phone"].labels
    assert (labels.columns.path, labels.columns.label, labels.columns.group) == ("Image", "finding", "Patient")


@pytest.mark.parametrize("text", ["[" * 100_000, '[{"data": {"x": "\\ud800"}, "annotations": []}]', "\x00", "[null]"])
def test_an_export_that_is_none_is_refused(init: Init, tmp_path: Path, text: str) -> None:
    (tmp_path / "phone/export.json").write_text(text)
    ended = init("shop", "--production", "phone", "--labels", "export.json")
    assert (ended.code, not (tmp_path / "shop").exists()) == (5, True)
    assert "--labels export.json is not a JSON export of Label Studio (" in ended.err


def test_labels_from_label_studio(init: Init, tmp_path: Path) -> None:
    tasks = [
        {
            "id": number,
            "data": {"photo": f"/data/local-files/?d=phone/{path.parent.name}/{path.name}"},
            "annotations": [
                {"result": [{"type": "choices", "from_name": "what", "value": {"choices": [path.parent.name]}}]}
            ],
        }
        for number, path in enumerate(sorted((tmp_path / "phone").rglob("*.png")))
    ]
    (tmp_path / "phone/export.json").write_text(json.dumps(tasks))
    ended = init("shop", "--production", "phone", "--labels", "export.json")
    assert ended.code == 0, ended.err
    labels: Any = params_of(tmp_path / "shop").sources["phone"].labels
    assert (labels.image, labels.prefix, labels.choice) == ("photo", "/data/local-files/?d=phone/", "what")


def table_of(folder: Path, name: str, encoding: str = "utf-8-sig", before: str = "") -> None:
    """A table as a German Excel saves it: semicolons, and a folder of another machine before each path."""
    paths = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.png"))]
    kind = {"cat": "Kätzchen", "dog": "Hund"}
    rows = [f"{before}{path};{kind[path.partition('/')[0]]};{number}" for number, path in enumerate(paths)]
    rows += [f"{before}lost/{number}.png;Hund;{number}" for number in range(2)]
    (folder / name).write_bytes("\r\n".join(["Path;Label;Group", *rows, ""]).encode(encoding))


def test_a_table_of_another_machine_and_language_is_read(init: Init, tmp_path: Path) -> None:
    table_of(tmp_path / "phone", "labels.csv", before="/home/ana/Fotos 2024/")
    ended = init("shop", "--production", "phone", "--labels", "labels.csv")
    assert ended.code == 0, ended.err
    assert "Hund 12, Kätzchen 16" in ended.out
    assert "paths in labels.csv begin with /home/ana/Fotos 2024/, which is taken off (prefix)" in ended.out
    assert "labels.csv has 2 rows of images that are not in the source: lost/0.png, lost/1.png" in ended.out
    labels: Any = params_of(tmp_path / "shop").sources["phone"].labels
    assert (labels.prefix, labels.columns.group) == ("/home/ana/Fotos 2024/", "Group")


def test_a_table_that_is_not_utf8_is_refused_with_the_way_out(init: Init, tmp_path: Path) -> None:
    table_of(tmp_path / "phone", "labels.csv", "cp1252")
    ended = init("shop", "--production", "phone", "--labels", "labels.csv")
    assert (ended.code, not (tmp_path / "shop").exists()) == (5, True)
    assert "labels.csv: Label is not UTF-8 in 16 rows: 1, 2, 3" in ended.err
    assert "Save the table as UTF-8 (in Excel: CSV UTF-8)" in ended.err


def test_times_in_another_form_are_left_out_or_refused(init: Init, tmp_path: Path) -> None:
    table_of(tmp_path / "phone", "labels.csv")
    text = (tmp_path / "phone/labels.csv").read_text("utf-8-sig").replace("Group", "Date").splitlines()
    rows = [f"{row.rpartition(';')[0]};05.03.2024" for row in text[1:]]
    (tmp_path / "phone/labels.csv").write_text("\n".join([text[0], *rows]))
    ended = init("other", "--production", "phone", "--labels", "labels.csv", "--columns", "captured_at=Date")
    assert (ended.code, not (tmp_path / "other").exists()) == (5, True)
    assert "30 values of Date are not ISO 8601 times" in ended.err
    ended = init("shop", "--production", "phone", "--labels", "labels.csv")
    assert ended.code == 0, ended.err
    assert "labels.csv has no times that can be used: 30 values of Date are not ISO 8601 times" in ended.out
    labels: Any = params_of(tmp_path / "shop").sources["phone"].labels
    assert labels.columns.captured_at is None


def test_each_source_has_its_own_file_of_labels_or_class_folders(init: Init, tmp_path: Path) -> None:
    table_of(tmp_path / "phone", "phone.csv")
    write_source(tmp_path / "third", {"Hund": 4, "Kätzchen": 4}, seed=5)
    table_of(tmp_path / "web", "web.csv")
    both = ("--raw", "web", "--raw", "third", "--production", "phone")
    ended = init("shop", *both, "--labels", "web/web.csv", "--labels", "phone.csv")
    assert ended.code == 0, ended.err
    sources = params_of(tmp_path / "shop").sources
    files = {name: getattr(source.labels, "file", None) for name, source in sources.items()}
    assert files == {"web": "web.csv", "third": None, "phone": "phone.csv"}
    ended = init("other", *both, "--labels", "phone.csv", "--labels", "nowhere.csv")
    assert (ended.code, not (tmp_path / "other").exists()) == (4, True)
    assert "--labels nowhere.csv: there is no such file in " in ended.err


def test_small_classes_are_left_out_if_asked(init: Init, tmp_path: Path) -> None:
    write_source(tmp_path / "phone", {"fox [red]": 2, "owl": 1}, seed=7)
    ended = init("shop", *BOTH)
    assert "Leave these classes out with --min-images 3, or add images" in ended.err
    ended = init("shop", *BOTH, "--min-images", "3")
    assert ended.code == 0, ended.err
    assert "note: 2 classes are left out, with too few production images (exclude): fox [red], owl" in ended.out
    assert params_of(tmp_path / "shop").sources["phone"].exclude == (r"/fox\ \[red\]/", "/owl/")
    assert "fox" not in "".join(line for line in ended.out.splitlines() if line.startswith("  "))
    assert "--min-images 40 leaves out every class" in init("other", *BOTH, "--min-images", "40").err


def test_the_white_of_images_of_12_bits_is_found(init: Init, tmp_path: Path) -> None:
    for label, top in (("cat", 4000), ("dog", 3000)):
        (tmp_path / "scope" / label).mkdir(parents=True)
        for number in range(6):
            values = np.random.default_rng(number).integers(0, top, (80, 80)).astype(np.uint16)
            Image.fromarray(values).save(tmp_path / f"scope/{label}/{number}.png")
    ended = init("shop", "--production", "scope")
    assert ended.code == 0, ended.err
    assert "images of more than 8 bits are dark: 4,095 is taken for their white (value_range)" in ended.out
    params = params_of(tmp_path / "shop")
    assert params.sources["scope"].value_range == (0, 4095)
    # Grey of 16 bits is no white page, although Pillow shows it as one.
    assert "preset: photo" in (tmp_path / "shop/params.yaml").read_text()
    # With 4 images of a class no recall of it can be asked for.
    assert [*params.evaluate.satisficing] == ["model_megabytes"]


def test_an_archive_of_one_folder_is_a_source(init: Init, tmp_path: Path) -> None:
    shutil.make_archive("photos", "gztar", tmp_path, "phone")
    shutil.make_archive("more photos", "zip", tmp_path, "web")
    ended = init("my shop", "--raw", "more photos.zip", "--production", "photos.tar.gz")
    assert ended.code == 0, ended.err
    assert "cat 16, dog 12" in ended.out
    assert "formats of 28 inspected images: 28 PNG" in ended.out
    assert params_of(tmp_path / "my shop").sources["photos"].inside == "phone"
    assert "Next: cd 'my shop' && dvc repro" in ended.out


def test_an_archive_is_a_source(init: Init, tmp_path: Path) -> None:
    shutil.make_archive("photos", "zip", tmp_path / "phone")
    ended = init("shop", "--production", "photos.zip")
    assert ended.code == 0, ended.err
    assert "cat 16, dog 12" in ended.out


@pytest.mark.parametrize("installed", [True, False])
def test_heic_images_are_looked_at_or_what_opens_them_is_said(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    assert heic_installed()
    for label in ("cat", "dog"):
        (tmp_path / "heic" / label).mkdir(parents=True)
        for number in range(6):
            data = encoded(picture(number, width=80, height=96), "HEIF")
            (tmp_path / "heic" / label / f"{number}.heic").write_bytes(data)
    if not installed:
        monkeypatch.setattr(image_facts, "heic_installed", lambda: False)
    ended = init("shop", "--production", "heic")
    if installed:
        assert ended.code == 0, ended.err
        assert "formats of 12 inspected images: 12 HEIF" in ended.out
    else:
        assert ended.code == 5
        assert "none of the inspected images can be opened: they are HEIC: run `pip install" in ended.err


def test_cells_with_several_labels_make_a_project_of_several_labels(init: Init, tmp_path: Path) -> None:
    paths = [path.relative_to(tmp_path / "phone") for path in sorted((tmp_path / "phone").rglob("*.png"))]
    cells = ["cat|dog", "dog", "cat", "nothing"]
    rows = [f"{path},{cells[number % 4]}" for number, path in enumerate(paths)]
    (tmp_path / "phone/labels.csv").write_text("\n".join(["image,label", *rows]))
    ended = init("shop", "--production", "phone", "--labels", "labels.csv")
    assert ended.code == 0, ended.err
    made = params_of(tmp_path / "shop")
    labels: Any = made.sources["phone"].labels
    assert labels.separator == "|"
    assert made.problem.model_dump() == {"name": "multi_label", "none": "nothing"}
    assert made.balance.strategy.name == "none"
    assert made.evaluate.optimizing.name == "macro_f1"
    assert "cat 14, dog 14, nothing 7" in ended.out


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        ({"cat", "dog"}, None),
        ({"cat|dog", "fig"}, "|"),
        ({"cat; dog"}, ";"),
        ({"cat,dog", "cat", "dog"}, ","),
        ({"Lyon, France", "Paris, France"}, None),
        ({"cat|", "dog"}, None),
    ],
)
def test_what_stands_between_labels_is_seen(cells: set[str], separator: str | None) -> None:
    assert separator_of(cells) == separator


def test_no_program_is_run_to_look_at_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Pillow runs Ghostscript for an EPS file, whatever its name ends in, and takes any bytes for some formats."""
    run_by_pillow: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *arguments, **_: run_by_pillow.append(arguments))
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    tga = io.BytesIO()
    Image.new("RGB", (9, 9)).save(tga, "TGA")
    tiff = io.BytesIO()
    Image.new("RGB", (9, 9)).save(tiff, "TIFF")
    files = {"eps.png": eps, "tga.jpg": tga.getvalue(), "cut.tif": tiff.getvalue()[:-40]}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    found = image_facts.look_at(Folder(tmp_path), [*files])
    assert (found.unreadable, run_by_pillow) == (3, [])
    assert capfd.readouterr() == ("", "")
